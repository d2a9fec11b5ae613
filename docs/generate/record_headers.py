"""What a record's headers mean. Their names come from the code that writes them; a name without a meaning fails."""

from shared.contracts import dead_letter, headers

_MEANINGS = {
    "ce_specversion": "The version of CloudEvents: `1.0`.",
    "ce_id": "The record's id; on the topics of events, jobs requested and invalidations it is the value's `id`.",
    "ce_type": "The event's type.",
    "ce_source": "The service that wrote the record: `/signalbox/` and its name.",
    "ce_dataschema": "The payload and the version of its schema: the `$id` of its JSON Schema.",
    "content-type": "`application/json`.",
    "traceparent": "W3C trace context; absent where no trace is known.",
    "dead_letter_reason": "Why, in a word: `empty`, `json`, `schema` or `data`.",
    "dead_letter_detail": "Why, in a sentence of at most 1000 characters.",
    "dead_letter_service": "The service that gave up.",
    "dead_letter_topic": "The topic that the record stood on.",
    "dead_letter_partition": "Its partition there, in decimal.",
    "dead_letter_offset": "Its offset there, in decimal.",
    "dead_letter_timestamp_ms": "Its timestamp there, in milliseconds since 1970.",
}


def of_records() -> dict[str, str]:
    """The headers of every record that signalbox writes, with their meanings."""
    written = headers.encode(id="-", type="-", schema="-", source="-", traceparent="-")
    return {name: _MEANINGS[name] for name, _ in written}


def optional() -> set[str]:
    """Those of `of_records` that a record may lack."""
    written = dict(headers.encode(id="-", type="-", schema="-", source="-"))
    return {name for name in of_records() if name not in written}


def of_dead_letters() -> dict[str, str]:
    """What a dead letter has beside the headers that the record came with."""
    origin = dead_letter.Origin(topic="-", partition=0, offset=0, timestamp_ms=0)
    written = dead_letter.headers([], origin=origin, reason="-", detail="-", service="-")
    return {name: _MEANINGS[name] for name, _ in written}
