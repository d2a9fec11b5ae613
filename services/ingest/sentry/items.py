"""What the items of an envelope become, type by type; one that cannot be read costs itself and no other.

| Item | Becomes |
| --- | --- |
| `event` | an error |
| `transaction`, `span` | metrics: web vitals, other measurements, durations |
| `trace_metric` | metrics |
| `check_in` | the event `check_in` |
| `feedback`, `user_report` | the event `feedback` |
| `client_report` | counts in `signalbox_ingest_client_discarded_total` |
| all others: sessions, logs, attachments, replays, profiles, ... | counted as filtered |
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

from services.ingest import metrics
from services.ingest.items import Flaw, FlawedItem
from services.ingest.sentry import errors, lenient, measurements
from services.ingest.sentry.envelope import Envelope, Item, event_id
from services.ingest.sentry.lenient import mapping, text
from shared.contracts.events import AnyEvent, CustomEvent

_SPAN_CONTAINER = "application/vnd.sentry.items.span.v2+json"
#: Types that are known and have no place here; others are counted as `other`, since a label must be bounded.
_NO_PLACE = frozenset(
    {
        "attachment", "log", "nel", "profile", "profile_chunk", "raw_security", "replay_event", "replay_recording",
        "replay_video", "session", "sessions", "statsd", "metric_buckets", "unreal_report", "view_hierarchy",
    }
)  # fmt: skip
_REASONS = frozenset(
    {
        "before_send", "buffer_overflow", "cache_overflow", "event_processor", "ignored", "insufficient_data",
        "internal_sdk_error", "invalid", "network_error", "no_parent_span", "queue_overflow", "ratelimit_backoff",
        "sample_rate", "send_error",
    }
)  # fmt: skip
_CATEGORIES = frozenset(
    {
        "attachment", "default", "error", "feedback", "internal", "log_byte", "log_item", "metric", "monitor", "profile",
        "profile_chunk", "replay", "security", "session", "span", "trace_metric", "transaction",
    }
)  # fmt: skip
_FEEDBACK_FIELDS = ("message", "name", "contact_email", "url", "associated_event_id", "source")
_REPORT_FIELDS = {
    "comments": "message",
    "name": "name",
    "email": "contact_email",
    "event_id": "associated_event_id",
}
_CHECK_IN_FIELDS = ("monitor_slug", "status", "duration", "check_in_id")


_WHOLE_BYTES_MAX = 1_048_576  # Sentry's own limit; of larger events only the core is worth looking through
#: Of one envelope: a full container of spans, each with every vital, is below it.
EVENTS_MAX = 10_000


class Sender(NamedTuple):
    """What is known of an item besides itself."""

    #: Of the envelope; it belongs to its event, transaction or feedback.
    event_id: str
    user_agent: str


class Read(NamedTuple):
    """What an envelope holds for us."""

    events: list[AnyEvent]
    #: What was wrong with the items that could not be read.
    flaws: list[Flaw]


def read(envelope: Envelope, *, user_agent: str) -> Read:
    """The events in an envelope's items. What is filtered is counted; so is what the client says that it lost."""
    sender = Sender(envelope.event_id, user_agent)
    events: list[AnyEvent] = []
    flaws = [Flaw.JSON] * envelope.broken
    for item in envelope.items:
        if len(events) >= EVENTS_MAX:
            flaws.append(Flaw.SIZE)
            continue
        reader = _READERS.get(item.type)
        if reader is None:
            type = item.type if item.type in _NO_PLACE else "other"
            metrics.ITEMS_FILTERED.labels("sentry", type).inc()
            continue
        try:
            found = list(reader(item, sender))
        except FlawedItem as error:
            flaws.append(error.flaw)
            continue
        if not found and item.type != "client_report":
            metrics.ITEMS_FILTERED.labels("sentry", item.type).inc()  # such as spans without a vital
        events.extend(found)
    return Read(events, flaws)


def stored(payload: bytes, *, user_agent: str) -> tuple[str, Read]:
    """The id, and the event, of what is posted to `/store/`. Raises FlawedItem."""
    event = lenient.decode(payload, errors.PAYLOAD)
    id = event_id(event.event_id)
    return id, Read([errors.error_of(event, id=id or None, user_agent=user_agent)], [])


def _event(item: Item, sender: Sender) -> Iterable[AnyEvent]:
    event = lenient.decode(bytes(item.payload), errors.PAYLOAD)
    id = sender.event_id or event_id(event.event_id)
    error = errors.error_of(event, id=id or None, user_agent=sender.user_agent)
    yield errors.slimmed(error) if len(item.payload) > _WHOLE_BYTES_MAX else error


def _transaction(item: Item, sender: Sender) -> Iterable[AnyEvent]:
    event = lenient.decode(bytes(item.payload), errors.PAYLOAD)
    id = sender.event_id or event_id(event.event_id)
    if not id:
        raise FlawedItem(Flaw.SCHEMA, "A transaction has no event_id.")
    return measurements.of_transaction(event, id=id, user_agent=sender.user_agent)


def _span(item: Item, sender: Sender) -> Iterable[AnyEvent]:
    if item.content_type == _SPAN_CONTAINER:
        spans = lenient.decode(bytes(item.payload), measurements.CONTAINER).items
        return measurements.of_spans(spans, user_agent=sender.user_agent)
    span = lenient.decode(bytes(item.payload), measurements.OBJECT)
    return measurements.of_span(span, user_agent=sender.user_agent)


def _trace_metric(item: Item, _: Sender) -> Iterable[AnyEvent]:
    return measurements.of_metrics(lenient.decode(bytes(item.payload), measurements.CONTAINER).items)


def _check_in(item: Item, _: Sender) -> Iterable[AnyEvent]:
    payload = lenient.decode(bytes(item.payload), measurements.OBJECT)
    yield CustomEvent(
        name="check_in",
        release=text(payload.get("release"), 200),
        environment=text(payload.get("environment"), 64),
        properties=_chosen(payload, {name: name for name in _CHECK_IN_FIELDS}),
    )


def _feedback(item: Item, sender: Sender) -> Iterable[AnyEvent]:
    event = lenient.decode(bytes(item.payload), errors.PAYLOAD)
    said = mapping(mapping(event.contexts).get("feedback"))
    yield CustomEvent(
        id=sender.event_id or event_id(event.event_id) or None,
        timestamp=lenient.instant(event.timestamp),
        name="feedback",
        url=text(said.get("url")),
        release=text(event.release, 200),
        environment=text(event.environment, 64),
        tags=lenient.tags(event.tags),
        properties=_chosen(said, {name: name for name in _FEEDBACK_FIELDS}),
    )


def _user_report(item: Item, _: Sender) -> Iterable[AnyEvent]:
    report = lenient.decode(bytes(item.payload), measurements.OBJECT)
    yield CustomEvent(name="feedback", properties=_chosen(report, _REPORT_FIELDS))


def _client_report(item: Item, _: Sender) -> Iterable[AnyEvent]:
    """Count what the SDK says that it never sent, so that its users see it."""
    report = lenient.decode(bytes(item.payload), measurements.OBJECT)
    for lost in lenient.mappings(report.get("discarded_events")):
        reason, category = text(lost.get("reason")), text(lost.get("category"))
        metrics.CLIENT_DISCARDED.labels(
            reason if reason in _REASONS else "other", category if category in _CATEGORIES else "other"
        ).inc(min(lenient.whole(lost.get("quantity")), _DISCARDED_MAX))
    return ()


def _chosen(payload: Any, names: dict[str, str]) -> dict[str, Any]:
    return {ours: payload[theirs] for theirs, ours in names.items() if _is_scalar(payload.get(theirs))}


def _is_scalar(value: object) -> bool:
    return isinstance(value, str | int | float) and value != ""


_DISCARDED_MAX = 1_000_000  # of one line of a report: whoever may write may not ruin a counter
_READERS: dict[str, Callable[[Item, Sender], Iterable[AnyEvent]]] = {
    "event": _event,
    "transaction": _transaction,
    "span": _span,
    "trace_metric": _trace_metric,
    "check_in": _check_in,
    "feedback": _feedback,
    "user_report": _user_report,
    "client_report": _client_report,
}
