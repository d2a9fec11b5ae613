"""The sweeper: what keeps jobs moving when a hint, a worker or a retry record was lost.

Three rounds, each on its own beat: hint at jobs that are due and that nobody was told about (which is also how jobs
for later start), renew this worker's leases, and free jobs of workers that fell silent.
"""

import asyncio
from collections.abc import Awaitable, Callable

from services.jobs import metrics
from services.jobs.publisher import Publisher
from services.jobs.store import jobs
from services.jobs.store.database import Database
from shared import logs
from shared.errors import StoreUnavailable

_log = logs.get(__name__)

_HINTS_MAX = 1_000
_RESCUE_INTERVAL_S = 1.0


class Sweeper:
    """One worker's rounds; every worker makes them, and rows are locked so that they do not meet."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        *,
        worker: str,
        lease_s: float,
        interval_s: float,
        hint_again_after_s: float,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._worker = worker
        self._lease_s = lease_s
        self._interval_s = interval_s
        self._hint_again_after_s = hint_again_after_s

    async def run(self) -> None:
        """Make rounds until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(self._interval_s, self.hint), name="sweep")
            group.create_task(_every(self._lease_s / 3, self.renew), name="renew")
            group.create_task(_every(_RESCUE_INTERVAL_S, self.rescue), name="rescue")

    async def hint(self) -> None:
        """Hint at due jobs."""
        async with self._database.transaction() as connection:
            hints = await jobs.due(connection, hint_again_after_s=self._hint_again_after_s, limit=_HINTS_MAX)
        await self._publisher.hint(hints)
        metrics.HINTS_SWEPT.inc(len(hints))

    async def renew(self) -> None:
        """Keep this worker's leases."""
        async with self._database.transaction() as connection:
            await jobs.renew(connection, owner=self._worker, lease_s=self._lease_s)

    async def rescue(self) -> None:
        """Free jobs whose lease ran out."""
        async with self._database.transaction() as connection:
            rescued = await jobs.rescue(connection)
        if rescued:
            _log.warning("jobs_rescued", jobs=rescued)
        metrics.JOBS_RESCUED.inc(rescued)


async def _every(interval_s: float, action: Callable[[], Awaitable[None]]) -> None:
    while True:
        try:
            await action()
        except StoreUnavailable as error:
            _log.warning("sweep_waits", error=str(error))
        await asyncio.sleep(interval_s)
