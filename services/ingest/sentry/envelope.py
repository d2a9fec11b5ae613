"""The framing of Sentry's envelopes: bytes in, items out, and nothing in between is looked at.

    headers as JSON \\n ( an item's headers as JSON \\n its payload \\n )*

An item's `length` is optional; without it the payload runs to the next newline (develop.sentry.dev, "Envelopes").
Since every SDK sends each envelope once, an item that cannot be read is set aside, and the next one is looked for.
"""

from collections.abc import Mapping
from datetime import datetime
from typing import Any, NamedTuple

import msgspec

from services.ingest.items import clean
from services.ingest.sentry import lenient
from shared.errors import Malformed, TooLarge

#: SDKs put a dozen into one envelope at most.
ITEMS_MAX = 1_000
_HEADER_BYTES_MAX = 65_536  # of one line of headers; those of SDKs have a few hundred bytes


class Item(NamedTuple):
    """One item, unread; `payload` shares the body's memory."""

    type: str
    content_type: str
    payload: memoryview


class Envelope(NamedTuple):
    """A whole envelope."""

    #: 32 hexadecimal digits in lower case; empty when there is none, as with sessions.
    event_id: str
    #: The client's clock when it sent the envelope.
    sent_at: datetime | None
    #: Where the client thinks that it sends it, as it was configured; empty when it does not say.
    dsn: str
    items: list[Item]
    #: How many items could not be told apart from each other, or have no type.
    broken: int


def parse(body: bytes) -> Envelope:
    """The items of an envelope.

    Raises Malformed (400) when its first line is not a JSON object, TooLarge (413) above ITEMS_MAX items.
    """
    headers, position = _line(body, 0)
    envelope = _object(headers)
    if envelope is None:
        raise Malformed("The first line is not the JSON object that an envelope begins with.")
    items: list[Item] = []
    broken = blank = 0
    while position < len(body):
        if len(items) + broken + blank >= ITEMS_MAX:
            raise TooLarge(f"The envelope has more than {ITEMS_MAX} items.")
        line, position = _line(body, position)
        if not line.strip():
            blank += 1  # between items SDKs differ in how many newlines they write
            continue
        header = _object(line)
        type = None if header is None else header.get("type")
        payload, position = _payload(body, position, None if header is None else header.get("length"))
        if header is not None and isinstance(type, str) and type and payload is not None:
            content_type = header.get("content_type")
            items.append(Item(type, content_type if isinstance(content_type, str) else "", payload))
        else:
            broken += 1
    return Envelope(
        event_id(envelope.get("event_id")),
        lenient.instant(envelope.get("sent_at")),
        _dsn(envelope),
        items,
        broken,
    )


def dsn_of(body: bytes) -> str:
    """The `dsn` in an envelope's headers, for clients that show no key elsewhere; empty when there is none."""
    return _dsn(_object(_line(body, 0)[0]) or {})


def event_id(value: object) -> str:
    """An event's id as 32 hexadecimal digits, the one spelling of it; empty for what is none."""
    if not isinstance(value, str):
        return ""
    bare = value.replace("-", "").lower()
    return bare if len(bare) == 32 and not bare.strip("0123456789abcdef") and bare.strip("0") else ""


def _line(body: bytes, start: int) -> tuple[bytes, int]:
    """The line that begins at `start`, and where the next one does."""
    end = body.find(b"\n", start)
    if end < 0:
        end = len(body)
    line = body[start:end] if end - start <= _HEADER_BYTES_MAX else b"\0"
    return line, end + 1


def _payload(body: bytes, start: int, length: object) -> tuple[memoryview | None, int]:
    """The payload that begins at `start`, and where the next item does; None when its length cannot be true."""
    if isinstance(length, int) and not isinstance(length, bool):
        end = start + length
        if length >= 0 and end <= len(body) and body[end : end + 1] in (b"\n", b""):
            return memoryview(body)[start:end], end + 1
        return None, _line_end(body, start) + 1
    end = _line_end(body, start)
    return memoryview(body)[start:end], end + 1


def _line_end(body: bytes, start: int) -> int:
    end = body.find(b"\n", start)
    return len(body) if end < 0 else end


def _object(line: bytes) -> Mapping[str, Any] | None:
    try:
        value = _JSON.decode(clean(line))
    except (Malformed, msgspec.DecodeError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def _dsn(headers: Mapping[str, Any]) -> str:
    dsn = headers.get("dsn")
    return dsn if isinstance(dsn, str) else ""


_JSON = msgspec.json.Decoder()
