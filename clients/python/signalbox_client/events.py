"""What goes over the wire: events as `/v1/events` takes them (its OpenAPI document has every field)."""

import json
import re
import traceback
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

#: Fields that a caller may set by name; every other name becomes a tag.
FIELDS = frozenset(
    {
        *("id", "timestamp", "session_id", "url", "page", "release", "environment", "device"),
        *("exception_type", "stack", "handled", "level", "fingerprint", "user"),
        *("unit", "metric_id", "rating", "navigation_type", "attribution"),
        *("title", "referrer"),
    }
)
#: The end of a longer one is kept: that is where the exception is.
STACK_CHARS_MAX = 64_000
MESSAGE_CHARS_MAX = 8_000
#: NUL as JSON spells it, or (group 1) an escaped backslash, to step over.
_NUL = re.compile(r"(\\\\)|\\u0000")


def encode(
    kind: str, defaults: Mapping[str, Any], fields: Mapping[str, Any], extra: Mapping[str, Any]
) -> bytes:
    """One event as JSON, with an id and a time of its own; what JSON does not know is written as its text.

    Raises ValueError (NaN, a cycle) or TypeError (a key that is no text), RecursionError for deep nesting.
    """
    tags = {name: str(value) for name, value in (extra.get("tags") or {}).items()}
    tags |= {name: str(value) for name, value in extra.items() if name not in FIELDS and name != "tags"}
    event = {
        "type": kind,
        "id": str(uuid.uuid4()),
        "timestamp": datetime.now(UTC),
        **defaults,
        **fields,
        **{name: value for name, value in extra.items() if name in FIELDS and value is not None},
        **({"tags": tags} if tags else {}),
    }
    return to_json(event)


def to_json(value: Any) -> bytes:
    """UTF-8, with U+FFFD for NUL and `?` for half a surrogate pair: the server stores neither, and refuses both."""
    text = json.dumps(value, default=_text, allow_nan=False, ensure_ascii=False, separators=(",", ":"))
    if "\\u0000" in text:
        text = _NUL.sub(lambda match: match[1] or "\ufffd", text)
    return text.encode(errors="replace")


def _text(value: object) -> str:
    if isinstance(value, datetime):
        # A time without a zone is this machine's.
        return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return str(value)


def describe(error: BaseException | str) -> dict[str, Any]:
    """The fields of an error event; a text has no stack."""
    if isinstance(error, str):
        return {"message": error[:MESSAGE_CHARS_MAX] or "error"}
    # TracebackException survives an exception whose own __str__ raises.
    told = traceback.TracebackException.from_exception(error)
    name = type(error).__name__[:200]
    return {
        "message": str(told)[:MESSAGE_CHARS_MAX] or name,
        "exception_type": name,
        "stack": "".join(told.format())[-STACK_CHARS_MAX:],
    }
