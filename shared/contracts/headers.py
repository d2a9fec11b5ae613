"""Record headers: CloudEvents 1.0 in Kafka's binary mode, and a W3C traceparent.

So that a consumer can route, count and trace a record without parsing its value. `ce_id` is the event's id,
`ce_type` its type, and `ce_dataschema` names the payload and the version of its schema.
"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.errors import PoisonRecord

Headers = list[tuple[str, bytes]]

_CONSTANT: Headers = [("ce_specversion", b"1.0"), ("content-type", b"application/json")]


class RecordHeaders(NamedTuple):
    """What a record's headers say; empty where a foreign producer left one out."""

    id: str
    type: str
    schema: str
    traceparent: str


class Common:
    """What the headers of a topic's records from one service have in common: for whoever makes many of them."""

    def __init__(self, *, type: str, schema: str, source: str) -> None:
        """See `encode`."""
        self._before_id = _CONSTANT
        _, _, _, *self._after_id = encode(id="", type=type, schema=schema, source=source)

    def of(self, *, id: str, traceparent: str) -> Headers:
        """The same as `encode`."""
        headers = [*self._before_id, ("ce_id", id.encode()), *self._after_id]
        if traceparent:
            headers.append(("traceparent", traceparent.encode()))
        return headers


def encode(*, id: str, type: str, schema: str, source: str, traceparent: str = "") -> Headers:
    """Headers for a record; `source` is the service that made it, `schema` comes from the topic table."""
    headers = [
        *_CONSTANT,
        ("ce_id", id.encode()),
        ("ce_type", type.encode()),
        ("ce_source", b"/signalbox/" + source.encode()),
        ("ce_dataschema", schema.encode()),
    ]
    if traceparent:
        headers.append(("traceparent", traceparent.encode()))
    return headers


def decode(headers: Iterable[tuple[str, bytes]]) -> RecordHeaders:
    """Read headers; absent ones are empty, since a record may come from any Kafka client.

    Raises PoisonRecord when one that is read here is not UTF-8.
    """
    raw = dict(headers)
    try:
        return RecordHeaders(
            id=raw.get("ce_id", b"").decode(),
            type=raw.get("ce_type", b"").decode(),
            schema=raw.get("ce_dataschema", b"").decode(),
            traceparent=raw.get("traceparent", b"").decode(),
        )
    except UnicodeDecodeError as error:
        raise PoisonRecord("headers", str(error)) from error
