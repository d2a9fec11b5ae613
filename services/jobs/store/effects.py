"""What job types leave behind, each keyed by the job, so that a second attempt changes nothing."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from services.jobs.store.database import Connection


async def save_notification(
    connection: Connection, *, job_id: str, recipient: str, title: str, body: str
) -> None:
    """Put a notification into the recipient's inbox."""
    await connection.execute(
        "INSERT INTO notifications (job_id, recipient, title, body) VALUES ($1, $2, $3, $4) "
        "ON CONFLICT (job_id) DO NOTHING",
        job_id,
        recipient,
        title,
        body,
    )


async def save_report(
    connection: Connection,
    *,
    job_id: str,
    project: str,
    kind: str,
    start: datetime,
    end: datetime,
    content: Mapping[str, Any],
) -> None:
    """Keep a report; a later attempt of the same job replaces it."""
    await connection.execute(
        "INSERT INTO reports (job_id, project, kind, from_time, to_time, content) VALUES ($1, $2, $3, $4, $5, $6) "
        "ON CONFLICT (job_id) DO UPDATE SET content = excluded.content, created_at = now()",
        job_id,
        project,
        kind,
        start,
        end,
        content,
    )


async def recipients_done(connection: Connection, *, job_id: str) -> set[str]:
    """Who has the mail of this job already."""
    rows = await connection.fetch("SELECT recipient FROM emails_sent WHERE job_id = $1", job_id)
    return {row["recipient"] for row in rows}


async def mark_mailed(connection: Connection, *, job_id: str, recipient: str, message_id: str) -> None:
    """Remember that a recipient has the mail of this job."""
    await connection.execute(
        "INSERT INTO emails_sent (job_id, recipient, message_id) VALUES ($1, $2, $3) ON CONFLICT DO NOTHING",
        job_id,
        recipient,
        message_id,
    )


async def count_day(
    connection: Connection, *, project: str, day: date, start: datetime, end: datetime
) -> dict[str, Any]:
    """Count a day afresh from the raw rows, keep the totals, and return them."""
    row = await connection.fetchrow(
        """
        INSERT INTO statistics_daily
            (project, day, errors, metrics, page_views, custom_events, jobs_completed, jobs_failed)
        SELECT $1, $2,
            (SELECT count(*) FROM error_events WHERE project = $1 AND occurred_at >= $3 AND occurred_at < $4),
            (SELECT count(*) FROM metrics WHERE project = $1 AND occurred_at >= $3 AND occurred_at < $4),
            (SELECT count(*) FROM page_views WHERE project = $1 AND occurred_at >= $3 AND occurred_at < $4),
            (SELECT count(*) FROM custom_events WHERE project = $1 AND occurred_at >= $3 AND occurred_at < $4),
            (SELECT count(*) FROM background_jobs WHERE project = $1 AND status = 'completed'
                AND completed_at >= $3 AND completed_at < $4),
            (SELECT count(*) FROM background_jobs WHERE project = $1 AND status = 'failed'
                AND completed_at >= $3 AND completed_at < $4)
        ON CONFLICT (project, day) DO UPDATE SET
            errors = excluded.errors, metrics = excluded.metrics, page_views = excluded.page_views,
            custom_events = excluded.custom_events, jobs_completed = excluded.jobs_completed,
            jobs_failed = excluded.jobs_failed, updated_at = now()
        RETURNING day, errors, metrics, page_views, custom_events, jobs_completed, jobs_failed
        """,
        project,
        day,
        start,
        end,
    )
    assert row is not None
    return dict(row)
