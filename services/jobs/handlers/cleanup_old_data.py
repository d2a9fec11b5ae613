"""`cleanup_old_data`: delete what is older than its retention, a slice at a time."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler
from services.jobs.retry import RetryPolicy
from services.jobs.store import retention
from services.jobs.store.retention import TABLES, Kept

#: Rows that one transaction deletes: short locks, and a cancelled job keeps what it has done.
_SLICE_ROWS = 5_000


class Cleanup(Struct, forbid_unknown_fields=True):
    """Days to keep, where they differ from the settings."""

    raw_days: Annotated[int, Meta(ge=8)] | None = None
    minute_days: Annotated[int, Meta(ge=1)] | None = None
    job_days: Annotated[int, Meta(ge=1)] | None = None


async def work(cleanup: Cleanup, context: Context) -> dict[str, Any]:
    """Returns the rows deleted, by table."""
    settings = context.tools.settings
    days = {
        Kept.RAW: cleanup.raw_days or settings.retention_raw_days,
        Kept.MINUTE: cleanup.minute_days or settings.retention_minute_days,
        Kept.JOBS: cleanup.job_days or settings.retention_jobs_days,
    }
    return {
        "deleted": {table: await _delete(context, table, days[kept]) for table, (kept, _) in TABLES.items()}
    }


async def _delete(context: Context, table: str, days: int) -> int:
    deleted = 0
    while True:
        async with context.tools.database.transaction() as connection:
            rows = await retention.delete_older(connection, table, days=days, limit=_SLICE_ROWS)
        deleted += rows
        if rows < _SLICE_ROWS:
            return deleted


HANDLER = Handler(Cleanup, work, RetryPolicy(timeout_s=600.0))
