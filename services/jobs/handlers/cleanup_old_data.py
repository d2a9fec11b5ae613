"""`cleanup_old_data`: delete what is older than its retention, a slice at a time."""

from typing import Annotated, Any

from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler
from services.jobs.retry import RetryPolicy

#: Rows that one transaction deletes: short locks, and a cancelled job keeps what it has done.
_SLICE_ROWS = 5_000

_RAW = ("metrics", "error_events", "page_views", "custom_events")
_MINUTE = ("vitals_minute", "page_views_minute", "custom_events_minute")


class Cleanup(Struct, forbid_unknown_fields=True):
    """Days to keep, where they differ from the settings."""

    raw_days: Annotated[int, Meta(ge=1)] | None = None
    minute_days: Annotated[int, Meta(ge=1)] | None = None
    job_days: Annotated[int, Meta(ge=1)] | None = None


async def work(cleanup: Cleanup, context: Context) -> dict[str, Any]:
    """Returns the rows deleted, by table."""
    settings = context.tools.settings
    raw_days = cleanup.raw_days or settings.retention_raw_days
    minute_days = cleanup.minute_days or settings.retention_minute_days
    deleted = {}
    for table in _RAW:
        deleted[table] = await _delete(context, table, "occurred_at", raw_days)
    for table in _MINUTE:
        deleted[table] = await _delete(context, table, "minute", minute_days)
    deleted["background_jobs"] = await _delete(
        context, "background_jobs", "completed_at", cleanup.job_days or settings.retention_jobs_days
    )
    return {"deleted": deleted}


async def _delete(context: Context, table: str, column: str, days: int) -> int:
    deleted = 0
    while True:
        async with context.tools.database.transaction() as connection:
            tag = await connection.execute(
                f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} "  # noqa: S608 - names of ours
                f"WHERE {column} < now() - make_interval(days => $1) LIMIT {_SLICE_ROWS})",
                days,
            )
        rows = int(tag.split()[-1])
        deleted += rows
        if rows < _SLICE_ROWS:
            return deleted


HANDLER = Handler(Cleanup, work, RetryPolicy(timeout_s=600.0))
