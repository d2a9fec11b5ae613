"""What is taken and what is not: from a body's bytes to messages for Kafka, and a reason for every other item.

Nothing here waits or knows of HTTP: the same bytes that arrive at the same time become the same messages, but for new
ids, and for what is over the key's rate limits.
"""

import uuid
from collections.abc import Callable
from datetime import UTC
from typing import NamedTuple, TypeVar

import msgspec

from services.ingest import messages, metrics
from services.ingest.contract import EventBatch, JobSubmission
from services.ingest.items import Flaw, FlawedItem, Items, Reader, Rejection, clean, none_valid, require_flat
from services.ingest.messages import Arrival, Draft
from services.ingest.publisher import Message
from services.ingest.rates import Category, KeyRates
from shared import ids
from shared.contracts import topics
from shared.contracts.cache import Change
from shared.contracts.events import AnyEvent, CustomEvent, Error
from shared.contracts.jobs import JobType
from shared.contracts.topics import ERRORS, EVENTS, INVALIDATIONS, JOB_REQUESTS, METRICS, PAGE_VIEWS
from shared.errors import Invalid, Malformed, RequestError

T = TypeVar("T")

#: Less than Kafka takes: a record that cannot be processed is written once more, with headers that say why.
RECORD_BYTES_MAX = topics.RECORD_BYTES_MAX - 16_384


class Accepted(NamedTuple):
    """What a body became; there is at least one message."""

    messages: list[Message]
    ids: list[str]
    rejected: list[Rejection]
    #: The body was one object, and not a list.
    alone: bool


class Acceptor:
    """Accepts bodies of at most `items_max` items, which become records of at most `record_bytes_max` bytes.

    `lines` says that a body's content type is NDJSON. Every method raises RequestError when not one item can be
    taken.
    """

    def __init__(self, *, items_max: int, record_bytes_max: int = RECORD_BYTES_MAX) -> None:
        self._items_max = items_max
        self._record_bytes_max = record_bytes_max

    def events(self, body: bytes, arrival: Arrival, *, lines: bool = False) -> Accepted:
        """Messages for the events in a body."""
        items = _EVENTS.read(body, lines=lines, items_max=self._items_max)
        return self._accept(items, lambda _, event: messages.of_event(event, arrival), arrival.rates)

    def event_batch(self, body: bytes, arrival: Arrival) -> Accepted:
        """Messages for the events in an EventBatch."""
        batch = _read_batch(clean(body))
        items = _EVENTS.read_array(bytes(batch.events), items_max=self._items_max)
        return self._accept(
            items, lambda _, event: messages.of_event(event, arrival, sent_at=batch.sent_at), arrival.rates
        )

    def jobs(
        self, body: bytes, arrival: Arrival, *, idempotency_key: str = "", lines: bool = False
    ) -> Accepted:
        """Messages for the job requests in a body.

        With an idempotency key, jobs without an id of their own get one that is derived from it and from their
        place in the list, so that the same request sent again asks for the same jobs.
        """
        items = _JOBS.read(body, lines=lines, items_max=self._items_max)

        def draft(index: int, job: JobSubmission) -> Draft:
            place = [] if items.alone else [str(index)]
            if job.id is not None:
                id = job.id
            elif idempotency_key:
                id = ids.derived_id("job", arrival.project, idempotency_key, *place)
            else:
                id = ids.new_id()
            return messages.of_job(job, arrival, id=id)

        return self._accept(items, draft, arrival.rates)

    def changes(self, body: bytes, arrival: Arrival, *, lines: bool = False) -> Accepted:
        """Messages for the changes in a body."""
        items = _CHANGES.read(body, lines=lines, items_max=self._items_max)
        return self._accept(items, lambda _, change: messages.of_change(change, arrival), arrival.rates)

    def _accept(self, items: Items[T], draft: Callable[[int, T], Draft], rates: KeyRates) -> Accepted:
        drafts: list[Draft] = []
        rejected = list(items.bad)
        limited: Category | None = None
        drafted = [(index, draft(index, item)) for index, item in items.good]
        room = self._spend(drafted, rates)
        for index, one in drafted:
            if one.message.size_exceeds(self._record_bytes_max):
                rejected.append(
                    Rejection(index, Flaw.SIZE, "As it is written on Kafka, it is too large for a record.")
                )
            elif room is None:
                drafts.append(one)
            elif room[category := _CATEGORIES[one.message.topic.name]]:
                room[category] -= 1
                drafts.append(one)
            else:
                limited = category
                rejected.append(Rejection(index, Flaw.RATE, rates.reason(category)))
                metrics.ITEMS_LIMITED.labels(category).inc()
        if rejected:
            rejected.sort(key=lambda rejection: rejection.index)
            for rejection in rejected:
                if rejection.flaw is not Flaw.RATE:
                    metrics.ITEMS_REJECTED.labels(rejection.flaw).inc()
        if not drafts:
            raise _refusal(rejected, rates, limited, alone=items.alone)
        return Accepted([d.message for d in drafts], [d.id for d in drafts], rejected, alone=items.alone)

    def _spend(self, drafted: list[tuple[int, Draft]], rates: KeyRates) -> dict[Category, int] | None:
        """How many of each category are let in, of those that are not too large; None: all of them."""
        wanted: dict[Category, int] = {}
        for _, one in drafted:
            if not one.message.size_exceeds(self._record_bytes_max):
                category = _CATEGORIES[one.message.topic.name]
                wanted[category] = wanted.get(category, 0) + 1
        room = {category: rates.spend(category, count) for category, count in wanted.items()}
        return room if room != wanted else None


def _refusal(
    rejected: list[Rejection], rates: KeyRates, limited: Category | None, *, alone: bool
) -> RequestError:
    """The answer when nothing could be taken; it is 429 when nothing was wrong with the items."""
    if limited is not None and all(rejection.flaw is Flaw.RATE for rejection in rejected):
        error: RequestError = rates.refusal(limited)
    else:
        error = none_valid(rejected, alone=alone)
    error.counted = bool(rejected)  # an empty list has no items to count
    return error


def _read_batch(text: bytes) -> EventBatch:
    try:
        batch = _EVENT_BATCH.decode(text)
    except msgspec.ValidationError as error:
        raise Invalid(f"The batch does not follow its contract: {error}.") from error
    except (msgspec.DecodeError, RecursionError) as error:
        raise Malformed(f"The body is not JSON that can be read: {error}.") from error
    if bytes(batch.events)[:1] != b"[":
        raise Invalid("The batch does not follow its contract: Expected `array` - at `$.events`.")
    return batch


def _check_event(event: AnyEvent) -> None:
    if isinstance(event, CustomEvent):
        require_flat(event.properties)
    elif isinstance(event, Error):
        require_flat(event.contexts)
        for part in (*event.frames, *(frame for cause in event.causes for frame in cause.frames)):
            require_flat(part.variables)
        for crumb in event.breadcrumbs:
            require_flat(crumb.data)


def _check_job(job: JobSubmission) -> None:
    require_flat(job.payload)
    try:
        if job.id is not None:
            uuid.UUID(job.id)
    except ValueError as error:
        raise FlawedItem(Flaw.SCHEMA, "Expected a UUID - at `$.id`") from error
    try:
        if job.scheduled_at is not None:
            job.scheduled_at.astimezone(UTC)
    except OverflowError as error:
        raise FlawedItem(Flaw.SCHEMA, "Outside of the years 1 to 9999 - at `$.scheduled_at`") from error


def _check_change(change: Change) -> None:
    if change.says_nothing():
        raise FlawedItem(Flaw.SCHEMA, "It names neither an `entity`, nor a `pattern`, nor `tags`")


_CATEGORIES = {
    ERRORS.name: Category.ERROR,
    METRICS.name: Category.METRIC,
    PAGE_VIEWS.name: Category.PAGE_VIEW,
    EVENTS.name: Category.EVENT,
    JOB_REQUESTS.name: Category.JOB,
    INVALIDATIONS.name: Category.CHANGE,
}
_EVENT_BATCH = msgspec.json.Decoder(EventBatch)
_EVENTS: Reader[AnyEvent] = Reader(AnyEvent, _check_event, ("error", "metric", "page_view", "event"))
_JOBS: Reader[JobSubmission] = Reader(JobSubmission, _check_job, tuple(JobType))
_CHANGES: Reader[Change] = Reader(Change, _check_change)
