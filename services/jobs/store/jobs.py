"""The state machine of a job, in SQL. Every write names the state, and the lease, that it starts from."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

import asyncpg
import msgspec

from services.jobs.store import outbox
from services.jobs.store.database import Connection
from shared.contracts.jobs import DeadJob, FailedAttempt, JobHint, JobRequest, JobStatus


class Job(msgspec.Struct, kw_only=True, frozen=True):
    """A row of background_jobs, as the API shows it."""

    id: str
    project: str
    type: str
    payload: dict[str, Any]
    priority: int
    status: JobStatus
    attempts: int
    max_attempts: int
    scheduled_at: datetime
    created_at: datetime
    last_attempt_at: datetime | None
    completed_at: datetime | None
    error: str | None
    errors: list[FailedAttempt]
    result: Any


class ClaimedJob(msgspec.Struct, kw_only=True, frozen=True):
    """A job that this worker may run: nobody else holds it while the lease is valid."""

    id: str
    project: str
    type: str
    payload: dict[str, Any]
    priority: int
    attempt: int
    max_attempts: int
    lease_no: int


_JOB = (
    "id::text, project, type, payload, priority, status, attempts, max_attempts, scheduled_at, created_at, "
    "last_attempt_at, completed_at, error, errors, result"
)
_CLAIMED = "id::text, project, type, payload, priority, attempts AS attempt, max_attempts, lease_no"
_HINT = "id::text, type, priority"
_APPEND_ERROR = "errors = errors || jsonb_build_array(jsonb_build_object('attempt', attempts, 'at', now(), 'error', $3::text))"
_SILENT = "'worker ' || lease_owner || ' fell silent'"


async def insert(
    connection: Connection, requests: Sequence[JobRequest], max_attempts: Mapping[str, int]
) -> list[JobHint]:
    """Store requests that are not stored yet; returns hints for those that can run now.

    `max_attempts` is each type's own number, for requests that name none. Jobs for later get no hint: the
    sweeper sends it when they are due.
    """
    rows = await connection.fetch(
        f"""
        INSERT INTO background_jobs (id, project, type, payload, priority, scheduled_at, max_attempts, hinted_at)
        SELECT id, project, type, payload, priority, coalesce(scheduled_at, now()), max_attempts,
               CASE WHEN coalesce(scheduled_at, now()) <= now() THEN now() END
        FROM unnest($1::uuid[], $2::text[], $3::text[], $4::jsonb[], $5::int[], $6::timestamptz[], $7::int[])
             AS request (id, project, type, payload, priority, scheduled_at, max_attempts)
        ON CONFLICT (id) DO NOTHING
        RETURNING {_HINT}, hinted_at
        """,  # noqa: S608 - column lists of ours
        [request.id for request in requests],
        [request.project for request in requests],
        [request.type.value for request in requests],
        [request.payload for request in requests],
        [request.priority for request in requests],
        [request.scheduled_at for request in requests],
        [request.max_attempts or max_attempts[request.type] for request in requests],
    )
    return [_hint(row) for row in rows if row["hinted_at"] is not None]


async def due(connection: Connection, *, hint_again_after_s: float, limit: int) -> list[JobHint]:
    """Jobs whose time has come and that nobody was told about, or not for long; they count as told from now on."""
    rows = await connection.fetch(
        f"""
        UPDATE background_jobs SET hinted_at = now() WHERE id IN (
            SELECT id FROM background_jobs
            WHERE status IN ('pending', 'retrying') AND scheduled_at <= now()
              AND (hinted_at IS NULL OR hinted_at < now() - make_interval(secs => $1))
            ORDER BY priority DESC, scheduled_at LIMIT $2 FOR UPDATE SKIP LOCKED
        ) RETURNING {_HINT}
        """,  # noqa: S608
        hint_again_after_s,
        limit,
    )
    return [_hint(row) for row in rows]


async def overdue(connection: Connection, *, late_s: float, limit: int) -> list[str]:
    """The ids of jobs that somebody was told about and nobody claimed, highest priority first, oldest first."""
    rows = await connection.fetch(
        "SELECT id::text FROM background_jobs WHERE status IN ('pending', 'retrying') AND scheduled_at <= now() "
        "AND coalesce(hinted_at, scheduled_at) < now() - make_interval(secs => $1) "
        "ORDER BY priority DESC, scheduled_at LIMIT $2",
        late_s,
        limit,
    )
    return [row["id"] for row in rows]


async def claim(
    connection: Connection, ids: Sequence[str], *, owner: str, lease_s: float
) -> list[ClaimedJob]:
    """Take the lease of those of `ids` that wait and are due; the rest are somebody else's, or done."""
    rows = await connection.fetch(
        f"""
        UPDATE background_jobs SET status = 'running', attempts = attempts + 1, last_attempt_at = now(),
               lease_no = lease_no + 1, lease_owner = $2, lease_expires_at = now() + make_interval(secs => $3)
        WHERE id IN (
            SELECT id FROM background_jobs
            WHERE id = ANY($1::uuid[]) AND status IN ('pending', 'retrying') AND scheduled_at <= now()
            FOR UPDATE SKIP LOCKED
        ) RETURNING {_CLAIMED}
        """,  # noqa: S608
        list(ids),
        owner,
        lease_s,
    )
    return [ClaimedJob(**dict(row)) for row in rows]


async def next_due(connection: Connection, limit: int) -> list[str]:
    """The ids of jobs that could run now, highest priority first, oldest first within it."""
    rows = await connection.fetch(
        "SELECT id::text FROM background_jobs WHERE status IN ('pending', 'retrying') AND scheduled_at <= now() "
        "ORDER BY priority DESC, scheduled_at LIMIT $1",
        limit,
    )
    return [row["id"] for row in rows]


async def renew(connection: Connection, held: Mapping[str, int], *, lease_s: float) -> None:
    """Extend the leases of jobs that run, by id and `lease_no`; one that was lost stays lost."""
    await connection.execute(
        "UPDATE background_jobs AS job SET lease_expires_at = now() + make_interval(secs => $3) "
        "FROM unnest($1::uuid[], $2::bigint[]) AS held (id, lease_no) "
        "WHERE job.id = held.id AND job.lease_no = held.lease_no AND job.status = 'running'",
        list(held.keys()),
        list(held.values()),
        lease_s,
    )


async def complete(connection: Connection, job: ClaimedJob, result: object) -> bool:
    """Record success; False when the lease was lost, and then nothing was written."""
    tag = await connection.execute(
        "UPDATE background_jobs SET status = 'completed', completed_at = now(), result = $3, error = NULL, "
        "lease_owner = NULL, lease_expires_at = NULL WHERE id = $1 AND status = 'running' AND lease_no = $2",
        UUID(job.id),
        job.lease_no,
        result,
    )
    return tag == "UPDATE 1"


async def retry_later(
    connection: Connection, job: ClaimedJob, *, error: str, delay_s: float
) -> datetime | None:
    """Record a failed attempt that is followed by another; returns when, or None when the lease was lost."""
    due_at: datetime | None = await connection.fetchval(
        f"""
        UPDATE background_jobs SET status = 'retrying', scheduled_at = now() + make_interval(secs => $4),
               hinted_at = now() + make_interval(secs => $4), error = $3, {_APPEND_ERROR},
               lease_owner = NULL, lease_expires_at = NULL
        WHERE id = $1 AND status = 'running' AND lease_no = $2 RETURNING scheduled_at
        """,  # noqa: S608
        UUID(job.id),
        job.lease_no,
        error,
        delay_s,
    )
    return due_at


async def give_up(connection: Connection, job: ClaimedJob, *, error: str) -> bool:
    """Record the last failure and tell the dead letter; False when the lease was lost."""
    row = await connection.fetchrow(
        f"""
        UPDATE background_jobs SET status = 'failed', completed_at = now(), error = $3, {_APPEND_ERROR},
               lease_owner = NULL, lease_expires_at = NULL
        WHERE id = $1 AND status = 'running' AND lease_no = $2 RETURNING {_JOB}
        """,  # noqa: S608
        UUID(job.id),
        job.lease_no,
        error,
    )
    if row is None:
        return False
    await _tell_dead(connection, [row])
    return True


async def rescue(connection: Connection) -> int:
    """Free jobs whose worker fell silent: they are tried again, or given up when that was their last attempt."""
    rows = await connection.fetch(
        f"""
        UPDATE background_jobs SET
            status = CASE WHEN attempts < max_attempts THEN 'retrying' ELSE 'failed' END,
            completed_at = CASE WHEN attempts < max_attempts THEN NULL ELSE now() END,
            scheduled_at = now(), hinted_at = NULL, error = {_SILENT},
            errors = errors || jsonb_build_array(
                jsonb_build_object('attempt', attempts, 'at', now(), 'error', {_SILENT})),
            lease_no = lease_no + 1, lease_owner = NULL, lease_expires_at = NULL
        WHERE id IN (
            SELECT id FROM background_jobs WHERE status = 'running' AND lease_expires_at < now()
            LIMIT 500 FOR UPDATE SKIP LOCKED
        ) RETURNING {_JOB}
        """  # noqa: S608
    )
    await _tell_dead(connection, [row for row in rows if row["status"] == JobStatus.FAILED])
    return len(rows)


async def cancel(connection: Connection, id: str) -> bool:
    """Call off a job that has not ended; False when it has, or does not exist. A running handler's result is lost."""
    tag = await connection.execute(
        "UPDATE background_jobs SET status = 'cancelled', completed_at = now(), lease_no = lease_no + 1, "
        "lease_owner = NULL, lease_expires_at = NULL "
        "WHERE id = $1 AND status IN ('pending', 'running', 'retrying')",
        UUID(id),
    )
    return tag == "UPDATE 1"


async def run_again(connection: Connection, ids: Sequence[str], *, hinted: bool = True) -> list[JobHint]:
    """Give failed or cancelled jobs a new set of attempts, and their history stays; returns hints for them.

    With `hinted` the caller sends the hints; without, the sweeper does.
    """
    rows = await connection.fetch(
        f"""
        UPDATE background_jobs SET status = 'pending', attempts = 0, scheduled_at = now(),
               hinted_at = CASE WHEN $2 THEN now() END, completed_at = NULL
        WHERE id = ANY($1::uuid[]) AND status IN ('failed', 'cancelled') RETURNING {_HINT}
        """,  # noqa: S608
        list(ids),
        hinted,
    )
    return [_hint(row) for row in rows]


async def get(connection: Connection, id: str) -> Job | None:
    """One job, or None."""
    row = await connection.fetchrow(f"SELECT {_JOB} FROM background_jobs WHERE id = $1", UUID(id))  # noqa: S608
    return None if row is None else _job(row)


async def newest(connection: Connection, *, status: str | None, type: str | None, limit: int) -> list[Job]:
    """Jobs, newest first; None stands for any."""
    rows = await connection.fetch(
        f"SELECT {_JOB} FROM background_jobs WHERE ($1::text IS NULL OR status = $1) "  # noqa: S608
        "AND ($2::text IS NULL OR type = $2) ORDER BY created_at DESC LIMIT $3",
        status,
        type,
        limit,
    )
    return [_job(row) for row in rows]


class JobStats(msgspec.Struct, kw_only=True, frozen=True):
    """Jobs by state, and how long the oldest waits."""

    by_status: dict[str, int]
    by_type: dict[str, dict[str, int]]
    #: Seconds since the oldest due job should have started; 0 when none waits.
    oldest_due_s: float


async def stats(connection: Connection) -> JobStats:
    """Counts of all jobs that are kept."""
    rows = await connection.fetch("SELECT type, status, count(*) AS jobs FROM background_jobs GROUP BY 1, 2")
    oldest = await connection.fetchval(
        "SELECT extract(epoch FROM now() - min(scheduled_at))::float8 FROM background_jobs "
        "WHERE status IN ('pending', 'retrying') AND scheduled_at <= now()"
    )
    by_status = {status.value: 0 for status in JobStatus}
    by_type: dict[str, dict[str, int]] = {}
    for row in rows:
        by_status[row["status"]] += row["jobs"]
        by_type.setdefault(row["type"], {})[row["status"]] = row["jobs"]
    return JobStats(by_status=by_status, by_type=by_type, oldest_due_s=oldest or 0.0)


async def _tell_dead(connection: Connection, rows: Sequence[asyncpg.Record]) -> None:
    dead = [
        DeadJob(
            id=job.id,
            type=job.type,
            payload=job.payload,
            priority=job.priority,
            attempts=job.attempts,
            history=job.errors,
            created_at=job.created_at,
            failed_at=job.completed_at or job.created_at,
        )
        for job in map(_job, rows)
    ]
    await outbox.add(connection, "job_dead", [(job.id, job) for job in dead])


def _job(row: asyncpg.Record) -> Job:
    fields = dict(row)
    fields["status"] = JobStatus(fields["status"])
    fields["errors"] = msgspec.convert(fields["errors"], list[FailedAttempt])
    return Job(**fields)


def _hint(row: asyncpg.Record) -> JobHint:
    return JobHint(id=row["id"], type=row["type"], priority=row["priority"])
