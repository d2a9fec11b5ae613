"""`update_statistics`: the daily totals of a project, counted afresh from the raw rows."""

from datetime import UTC, date, datetime, timedelta
from typing import Annotated, Any

from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler
from services.jobs.retry import RetryPolicy


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
    async with context.tools.database.transaction() as connection:
        row = await connection.fetchrow(
            """
            INSERT INTO statistics_daily
                (project, day, errors, metrics, page_views, custom_events, jobs_completed, jobs_failed)
            SELECT $1, $2::date,
                (SELECT count(*) FROM error_events WHERE project = $1 AND occurred_at >= $2 AND occurred_at < $3),
                (SELECT count(*) FROM metrics WHERE project = $1 AND occurred_at >= $2 AND occurred_at < $3),
                (SELECT count(*) FROM page_views WHERE project = $1 AND occurred_at >= $2 AND occurred_at < $3),
                (SELECT count(*) FROM custom_events WHERE project = $1 AND occurred_at >= $2 AND occurred_at < $3),
                (SELECT count(*) FROM background_jobs WHERE project = $1 AND status = 'completed'
                    AND completed_at >= $2 AND completed_at < $3),
                (SELECT count(*) FROM background_jobs WHERE project = $1 AND status = 'failed'
                    AND completed_at >= $2 AND completed_at < $3)
            ON CONFLICT (project, day) DO UPDATE SET
                errors = excluded.errors, metrics = excluded.metrics, page_views = excluded.page_views,
                custom_events = excluded.custom_events, jobs_completed = excluded.jobs_completed,
                jobs_failed = excluded.jobs_failed, updated_at = now()
            RETURNING day, errors, metrics, page_views, custom_events, jobs_completed, jobs_failed
            """,
            context.project,
            datetime(day.year, day.month, day.day, tzinfo=UTC),
            datetime(day.year, day.month, day.day, tzinfo=UTC) + timedelta(days=1),
        )
    assert row is not None
    return dict(row)


HANDLER = Handler(Statistics, work, RetryPolicy(timeout_s=300.0))
