"""What items become on Kafka: ids, clocks, envelopes, record keys and headers.

Keys are what the topic table says, joined with `|` and encoded as UTF-8.
"""

import uuid
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import msgspec

from services.ingest.contract import JobSubmission
from services.ingest.publisher import Message
from services.ingest.rates import UNLIMITED, KeyRates
from services.ingest.scrub import DEFAULT, Scrubber
from shared import ids
from shared.contracts import headers
from shared.contracts.cache import Change, Invalidation
from shared.contracts.events import AnyEvent, CustomEvent, Envelope, Error, Metric, PageView, Source
from shared.contracts.jobs import JobRequest
from shared.contracts.topics import ERRORS, EVENTS, INVALIDATIONS, JOB_REQUESTS, METRICS, PAGE_VIEWS, Topic

#: A difference between `sent_at` and our clock that is the network's, and not the client's clock.
DRIFT_MIN = timedelta(seconds=1)
#: How far ahead of ours a clock may be; what happened later than that did not happen yet.
FUTURE_MAX = timedelta(minutes=2)

_ENCODER = msgspec.json.Encoder()


class Arrival(NamedTuple):
    """What is known about a request besides its body."""

    #: When its body was complete, by our clock, in UTC.
    received_at: datetime
    #: The project of the key that was shown.
    project: str
    source: Source
    #: W3C trace context, of the request or new.
    traceparent: str
    #: Takes secrets out of events before they are written.
    scrubber: Scrubber = DEFAULT
    #: How much more the key may send.
    rates: KeyRates = UNLIMITED


class Draft(NamedTuple):
    """A message, and the id that the producer is told."""

    id: str
    message: Message


def of_event(event: AnyEvent, arrival: Arrival, *, sent_at: datetime | None = None) -> Draft:
    """An envelope around what the producer sent, scrubbed; `sent_at` is the producer's clock when it sent it."""
    id = event.id or ids.new_id()
    envelope = Envelope(
        id=id,
        project=arrival.project,
        source=arrival.source,
        received_at=arrival.received_at,
        occurred_at=occurred_at(event.timestamp, sent_at=sent_at, received_at=arrival.received_at),
        data=event,
    )
    value = _ENCODER.encode(envelope)
    if arrival.scrubber.suspects(value):
        event = arrival.scrubber.event(event)
        value = _ENCODER.encode(msgspec.structs.replace(envelope, data=event))
    topic, subject = _place(event)
    return _draft(id, topic, f"{arrival.project}|{subject}", value, arrival)


def of_job(job: JobSubmission, arrival: Arrival, *, id: str) -> Draft:
    """A job request. Raises ValueError when `id` is no UUID, OverflowError for a time that UTC cannot express."""
    id = str(uuid.UUID(id))  # one spelling of it
    request = JobRequest(
        id=id,
        type=job.type,
        payload=job.payload,
        priority=job.priority,
        scheduled_at=None if job.scheduled_at is None else job.scheduled_at.astimezone(UTC),
        max_attempts=job.max_attempts,
        project=arrival.project,
    )
    return _draft(id, JOB_REQUESTS, id, _ENCODER.encode(request), arrival)


def of_change(change: Change, arrival: Arrival) -> Draft:
    """An invalidation of what the change names."""
    id = ids.new_id()
    invalidation = Invalidation(
        entity=change.entity,
        key=change.key,
        pattern=change.pattern,
        tags=change.tags,
        id=id,
        requested_at=arrival.received_at,
    )
    key = change.entity or change.pattern or change.tags[0]
    return _draft(id, INVALIDATIONS, key, _ENCODER.encode(invalidation), arrival)


def occurred_at(timestamp: datetime | None, *, sent_at: datetime | None, received_at: datetime) -> datetime:
    """When an event happened, by our clock, in UTC.

    Without a timestamp, and for one that lies more than FUTURE_MAX ahead, that is when it was received. A client
    whose `sent_at` differs from our clock by more than DRIFT_MIN has a clock that is off by that difference, and
    so are its timestamps.
    """
    if timestamp is None:
        return received_at
    try:
        occurred = timestamp.astimezone(UTC)
        if sent_at is not None and abs(drift := received_at - sent_at) > DRIFT_MIN:
            occurred += drift
    except OverflowError:  # of the years 1 to 9999
        return received_at
    return occurred if occurred <= received_at + FUTURE_MAX else received_at


def _place(event: AnyEvent) -> tuple[Topic, str]:
    """An event's topic, and the part of its key after the project."""
    match event:
        case Metric():
            return METRICS, event.page
        case PageView():
            return PAGE_VIEWS, event.page
        case Error():
            return ERRORS, event.exception_type
        case CustomEvent():
            return EVENTS, event.name


def _draft(id: str, topic: Topic, key: str, value: bytes, arrival: Arrival) -> Draft:
    record_headers = _HEADERS[topic.name].of(id=id, traceparent=arrival.traceparent)
    return Draft(id, Message(topic, key.encode(), value, record_headers))


_HEADERS = {
    topic.name: headers.Common(type=topic.type, schema=topic.schema, source="ingest")
    for topic in (ERRORS, METRICS, PAGE_VIEWS, EVENTS, JOB_REQUESTS, INVALIDATIONS)
}
