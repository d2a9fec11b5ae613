"""Deleting what is older than its time."""

from enum import StrEnum

from services.jobs.store.database import Connection


class Kept(StrEnum):
    """How long a table is kept is decided together for each of these."""

    RAW = "raw"
    MINUTE = "minute"
    JOBS = "jobs"


#: Every table that is cleaned up: how long it is kept, and the column that tells a row's age.
TABLES = {
    "metrics": (Kept.RAW, "stored_at"),
    "error_events": (Kept.RAW, "stored_at"),
    "page_views": (Kept.RAW, "stored_at"),
    "custom_events": (Kept.RAW, "stored_at"),
    "vitals_minute": (Kept.MINUTE, "minute"),
    "page_views_minute": (Kept.MINUTE, "minute"),
    "custom_events_minute": (Kept.MINUTE, "minute"),
    "background_jobs": (Kept.JOBS, "completed_at"),
    "notifications": (Kept.JOBS, "created_at"),
    "reports": (Kept.JOBS, "created_at"),
    "emails_sent": (Kept.JOBS, "sent_at"),
    "load_tests": (Kept.JOBS, "started_at"),
}


async def delete_older(connection: Connection, table: str, *, days: int, limit: int) -> int:
    """Delete up to `limit` rows of one of TABLES that are older than `days`; returns how many there were."""
    _, column = TABLES[table]
    tag = await connection.execute(
        f"DELETE FROM {table} WHERE ctid IN (SELECT ctid FROM {table} "  # noqa: S608 - names of ours
        f"WHERE {column} < now() - make_interval(days => $1) LIMIT $2)",
        days,
        limit,
    )
    return int(tag.split()[-1])
