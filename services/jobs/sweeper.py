"""The sweeper: what keeps jobs moving when a hint, a worker or a retry record was lost.

Three rounds, each on its own beat: hint at jobs that are due and that nobody was told about (which is also how jobs
for later start), renew the leases of jobs that run here, and free jobs of workers that fell silent. A hint that was
lost is not repeated soon: an idle worker claims what is overdue without one (`dispatcher.py`), and repeating hints
while all workers are busy would only make a backlog longer.
"""

import asyncio
from collections.abc import Awaitable, Callable

from services.jobs import metrics
from services.jobs.publisher import Publisher
from services.jobs.runner import Runner
from services.jobs.store import jobs
from services.jobs.store.database import Database
from shared import logs
from shared.errors import StoreUnavailable

_log = logs.get(__name__)

_HINTS_MAX = 1_000
_RESCUE_INTERVAL_S = 1.0
#: For a job that waits behind a busy lane this long; one repeated hint a minute does not add to a backlog.
_HINT_AGAIN_AFTER_S = 60.0


class Sweeper:
    """One worker's rounds; every worker makes them, and rows are locked so that they do not meet."""

    def __init__(
        self,
        database: Database,
        publisher: Publisher,
        *,
        runner: Runner,
        lease_s: float,
        interval_s: float,
    ) -> None:
        self._database = database
        self._publisher = publisher
        self._runner = runner
        self._lease_s = lease_s
        self._interval_s = interval_s

    async def run(self) -> None:
        """Make rounds until cancelled."""
        async with asyncio.TaskGroup() as group:
            group.create_task(_every(self._interval_s, self.hint), name="sweep")
            group.create_task(_every(self._lease_s / 3, self.renew), name="renew")
            group.create_task(_every(_RESCUE_INTERVAL_S, self.rescue), name="rescue")

    async def hint(self) -> None:
        """Hint at due jobs."""
        async with self._database.transaction() as connection:
            hints = await jobs.due(connection, hint_again_after_s=_HINT_AGAIN_AFTER_S, limit=_HINTS_MAX)
        await self._publisher.hint(hints)
        metrics.HINTS_SWEPT.inc(len(hints))

    async def renew(self) -> None:
        """Keep the leases of what runs here."""
        if not self._runner.held:
            return
        async with self._database.transaction() as connection:
            await jobs.renew(connection, self._runner.held, lease_s=self._lease_s)

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
