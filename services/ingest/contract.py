"""What ingest's HTTP API says beyond the contracts that all services share: requests and answers of its own."""

from typing import Annotated, Any

from msgspec import Meta, Raw, Struct

from shared.contracts.events import Instant, Uuid
from shared.contracts.jobs import PRIORITY_DEFAULT, JobType, Priority


class EventBatch(Struct, kw_only=True):
    """What the browser library posts: buffered events, and when it sent them."""

    sent_at: Annotated[
        Instant | None,
        Meta(description="The client's clock when it sent the batch; corrects the events' times."),
    ] = None
    events: Annotated[Raw, Meta(description="An array of events.")]


class JobSubmission(Struct, kw_only=True):
    """A job request, as a producer sends it; `shared.contracts.jobs.JobRequest` is what it becomes."""

    id: Annotated[Uuid | None, Meta(description="Sending a job again with the same id changes nothing.")] = (
        None
    )
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


class Rejected(Struct, frozen=True):
    """An item of a list that was not taken; the others were."""

    index: Annotated[
        int, Meta(description="Its place in the list, from 0; blank lines of NDJSON do not count.")
    ]
    reason: Annotated[str, Meta(description="What is wrong with it, for people.")]


class EventsAccepted(Struct, frozen=True):
    """Every in-sync replica of Kafka has these events."""

    accepted: Annotated[int, Meta(description="How many.")]
    ids: Annotated[list[str], Meta(description="Their ids, in the order of the request.")]
    rejected: Annotated[list[Rejected], Meta(description="The others.")]


class OneAccepted(Struct, frozen=True):
    """The answer to one object."""

    id: Annotated[str, Meta(description="Its UUID.")]


class ListAccepted(Struct, frozen=True):
    """The answer to a list."""

    ids: Annotated[list[str], Meta(description="UUIDs, in the order of the request.")]
    rejected: Annotated[list[Rejected], Meta(description="What was not taken.")]


class Problem(Struct, frozen=True, omit_defaults=True):
    """RFC 9457 problem details."""

    title: Annotated[str, Meta(description="The status, in words.")]
    status: Annotated[int, Meta(description="The status.")]
    detail: Annotated[str, Meta(description="What went wrong, for people.")]
    type: Annotated[str, Meta(description="Always `about:blank`: the status says it all.")] = "about:blank"
    errors: Annotated[list[Rejected], Meta(description="What is wrong with each item.")] = []
