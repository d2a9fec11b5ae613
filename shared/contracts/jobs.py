"""Background jobs on Kafka: requests, hints, retries, changes of state and the dead.

The row in PostgreSQL is the truth about a job; records are how it is asked for, hinted at and told about.
"""

from enum import IntEnum, StrEnum
from typing import Annotated, Any

from msgspec import Meta, Struct

from shared.contracts.events import Instant, Uuid


class JobType(StrEnum):
    """The kinds of work; a new one is a member here and a handler in `services/jobs/handlers/`."""

    SEND_NOTIFICATION = "send_notification"
    GENERATE_REPORT = "generate_report"
    CLEANUP_OLD_DATA = "cleanup_old_data"
    UPDATE_STATISTICS = "update_statistics"
    SEND_EMAIL_BATCH = "send_email_batch"


class JobStatus(StrEnum):
    """Where a job is in its life; `completed`, `failed` and `cancelled` are final."""

    #: Waits for its time or for a free worker. The first state of every job.
    PENDING = "pending"
    #: A worker holds the lease and the handler runs.
    RUNNING = "running"
    #: An attempt failed, or its worker died; it runs again at `scheduled_at`.
    RETRYING = "retrying"
    #: The handler returned, and its result is stored.
    COMPLETED = "completed"
    #: It gave up: attempts are spent, or the error was permanent. A dead letter was written.
    FAILED = "failed"
    #: Somebody called it off before it completed.
    CANCELLED = "cancelled"


class Lane(IntEnum):
    """One of the four dispatch topics; a lower number runs first."""

    P0 = 0
    P1 = 1
    P2 = 2
    P3 = 3


PRIORITY_MIN, PRIORITY_DEFAULT, PRIORITY_MAX = 0, 5, 9
Priority = Annotated[int, Meta(ge=PRIORITY_MIN, le=PRIORITY_MAX)]


def lane_of(priority: int) -> Lane:
    """The lane of a priority: 8-9 are p0, 6-7 p1, 3-5 (with the default 5) p2, 0-2 p3."""
    if priority >= 8:
        return Lane.P0
    if priority >= 6:
        return Lane.P1
    return Lane.P2 if priority >= 3 else Lane.P3


class JobRequest(Struct, kw_only=True, omit_defaults=True):
    """Please run this. Sending it again with the same `id` changes nothing."""

    id: Annotated[Uuid, Meta(description="The job's UUID, made by whoever asks.")]
    type: Annotated[JobType, Meta(description="The kind of work.")]
    payload: Annotated[dict[str, Any], Meta(description="The handler's input.")] = {}
    priority: Annotated[Priority, Meta(description="0 to 9; higher runs first.")] = PRIORITY_DEFAULT
    scheduled_at: Annotated[
        Instant | None, Meta(description="Not before this time; at once when absent.")
    ] = None
    max_attempts: Annotated[
        Annotated[int, Meta(ge=1, le=25)] | None,
        Meta(description="How often it may be tried; the type's own number when absent."),
    ] = None
    project: Annotated[str, Meta(description="The project that asked.")] = "1"


class JobHint(Struct, kw_only=True, frozen=True):
    """A job can be claimed. Losing a hint costs time, never the job: a sweep finds what nobody claimed."""

    id: Annotated[Uuid, Meta(description="The job's UUID.")]
    type: Annotated[str, Meta(description="The kind of work.")]
    priority: Annotated[Priority, Meta(description="0 to 9; higher runs first.")]


class JobRetry(Struct, kw_only=True, frozen=True):
    """A failed attempt is to be followed by another at exactly `due_at`."""

    id: Annotated[Uuid, Meta(description="The job's UUID.")]
    type: Annotated[str, Meta(description="The kind of work.")]
    priority: Annotated[Priority, Meta(description="0 to 9; higher runs first.")]
    due_at: Annotated[Instant, Meta(description="When the next attempt may start.")]
    attempts: Annotated[int, Meta(description="Attempts made so far.")]
    error: Annotated[str, Meta(description="Why the last one failed.")]


class JobStatusChange(Struct, kw_only=True, frozen=True):
    """A job entered a state. The topic is compacted by job, so its end is the state of every job."""

    id: Annotated[Uuid, Meta(description="The job's UUID.")]
    type: Annotated[str, Meta(description="The kind of work.")]
    status: Annotated[JobStatus, Meta(description="The state that it entered.")]
    attempts: Annotated[int, Meta(description="Attempts started so far.")]
    at: Annotated[Instant, Meta(description="When, by the database's clock.")]
    error: Annotated[str | None, Meta(description="Why the last attempt failed.")] = None


class FailedAttempt(Struct, kw_only=True, frozen=True):
    """One attempt that did not succeed."""

    attempt: Annotated[int, Meta(description="1 for the first.")]
    at: Annotated[Instant, Meta(description="When it failed.")]
    error: Annotated[str, Meta(description="The exception's type and text.")]


class DeadJob(Struct, kw_only=True, frozen=True):
    """A job that gave up, with all that is needed to understand it and to run it again."""

    id: Annotated[Uuid, Meta(description="The job's UUID.")]
    type: Annotated[str, Meta(description="The kind of work.")]
    payload: Annotated[dict[str, Any], Meta(description="The handler's input.")]
    priority: Annotated[Priority, Meta(description="0 to 9; higher runs first.")]
    attempts: Annotated[int, Meta(description="Attempts made.")]
    history: Annotated[list[FailedAttempt], Meta(description="Every failed attempt, oldest first.")]
    created_at: Annotated[Instant, Meta(description="When the job was stored.")]
    failed_at: Annotated[Instant, Meta(description="When it gave up.")]
