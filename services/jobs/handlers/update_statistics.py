"""`update_statistics`: the daily totals of a project, counted afresh from the raw rows."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler
from services.jobs.retry import RetryPolicy
from services.jobs.store import effects


class Statistics(Struct, forbid_unknown_fields=True):
    """The last `days` days, today included."""

    days: Annotated[int, Meta(ge=1, le=400)] = 1


async def work(statistics: Statistics, context: Context) -> dict[str, Any]:
    """Returns today's row."""
    today = datetime.now(UTC).date()
    row: dict[str, Any] = {}
    for back in reversed(range(statistics.days)):
        row = await _count(context, today - timedelta(days=back))
    return row


async def _count(context: Context, day: date) -> dict[str, Any]:
    start = datetime(day.year, day.month, day.day, tzinfo=UTC)
    async with context.tools.database.transaction() as connection:
        return await effects.count_day(
            connection, project=context.project, day=day, start=start, end=start + timedelta(days=1)
        )


HANDLER = Handler(Statistics, work, RetryPolicy(timeout_s=300.0))
