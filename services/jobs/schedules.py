"""The schedules that come with signalbox, and the round that makes the jobs of their ticks."""

import asyncio

from services.jobs.handlers import MAX_ATTEMPTS
from services.jobs.publisher import Publisher
from services.jobs.store import schedules
from services.jobs.store.database import Database
from services.jobs.store.schedules import Schedule
from shared import logs
from shared.contracts.jobs import JobType
from shared.errors import StoreUnavailable

_log = logs.get(__name__)

_INTERVAL_S = 0.25  # how late a tick's job can be made, at most
_PAUSE_S = 1.0

#: Added when they are not there; what an operator changes or disables stays so.
BUILT_IN = (
    Schedule(name="cleanup-old-data", cron="15 3 * * *", type=JobType.CLEANUP_OLD_DATA, priority=1),
    Schedule(name="update-statistics", cron="5 * * * *", type=JobType.UPDATE_STATISTICS, priority=2),
)


async def run(database: Database, publisher: Publisher, *, project: str) -> None:
    """Make the jobs of ticks until cancelled; every worker does, and each tick is one job all the same."""
    added = False
    while True:
        try:
            async with database.transaction() as connection:
                if not added:
                    for schedule in BUILT_IN:
                        await schedules.put(connection, schedule, only_new=True)
                hints = await schedules.tick(connection, project=project, max_attempts=MAX_ATTEMPTS)
            added = True
            await publisher.hint(hints)
        except StoreUnavailable as error:
            _log.warning("schedules_wait", error=str(error))
            await asyncio.sleep(_PAUSE_S)
        await asyncio.sleep(_INTERVAL_S)
