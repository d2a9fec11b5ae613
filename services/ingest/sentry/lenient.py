"""Values as SDKs of every age and language write them: read what can be read, and leave out the rest.

An error report comes once, so a field of an odd type costs that field, and never the report.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

import msgspec

from services.ingest.items import NESTING_MAX, Flaw, FlawedItem, clean
from shared.contracts.events import Instant
from shared.errors import Malformed

T = TypeVar("T")

_TAGS_MAX = 64
_PRUNED = "[left out]"
_PARTS_MAX = 5_000  # of one value: a frame's variables, a breadcrumb's data, a context


def decode(payload: bytes, decoder: msgspec.json.Decoder[T]) -> T:
    """A payload's JSON; Python's NaN and Infinity, which are none, become null. Raises FlawedItem."""
    try:
        text = clean(payload)
        try:
            return decoder.decode(text)
        except msgspec.ValidationError as error:
            raise FlawedItem(Flaw.SCHEMA, str(error)) from error
        except msgspec.DecodeError:
            if b"NaN" not in text and b"Infinity" not in text:
                raise
        return decoder.decode(json.dumps(json.loads(text, parse_constant=lambda _: None)))
    except RecursionError as error:
        raise FlawedItem(Flaw.NESTING, "It is nested too deeply.") from error
    except (Malformed, msgspec.DecodeError, ValueError) as error:
        raise FlawedItem(Flaw.JSON, f"It is not JSON: {error}.") from error


def text(value: object, chars_max: int | None = None) -> str:
    """A text, cut after `chars_max` characters; numbers are written out, everything else is empty."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return ""
    try:
        return str(value)[:chars_max]
    except ValueError:  # a number of more digits than Python writes out
        return ""


def number(value: object) -> float | None:
    """A finite number within the bounds of a metric's value, which may be written as a text."""
    if isinstance(value, bool) or not isinstance(value, str | int | float):
        return None
    try:
        found = float(value)
    except (ValueError, OverflowError):
        return None
    return found if math.isfinite(found) and abs(found) <= 1e15 else None


def whole(value: object) -> int:
    """A number that is not negative; 0 for anything else."""
    found = number(value)
    return int(found) if found is not None and found > 0 else 0


def instant(value: object) -> datetime | None:
    """A time, in RFC 3339 or in seconds since 1970; without a zone it is UTC. None for anything else."""
    if isinstance(value, str):
        written = value.strip().replace(" ", "T", 1)
        has_zone = written[-1:] in ("Z", "z") or "+" in written[10:] or "-" in written[10:]
        value = written if has_zone else f"{written}Z"
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        found: datetime = msgspec.convert(value, Instant, strict=False)
    except (msgspec.ValidationError, OverflowError, ValueError):
        return None
    return found


def mapping(value: object) -> Mapping[str, Any]:
    """An object; a list of pairs, as headers and tags may come, becomes one; anything else is empty."""
    if isinstance(value, dict):
        return value
    if isinstance(value, list):
        pairs = (pair for pair in value if isinstance(pair, list) and len(pair) == 2)
        return {name: item for name, item in pairs if isinstance(name, str)}
    return {}


def sequence(value: object) -> Sequence[Any]:
    """A list, or the `values` of an object, as older SDKs wrap lists; one alone is a list of one; else empty."""
    if isinstance(value, dict):
        value = value.get("values", [value])
    return value if isinstance(value, list) else []


def mappings(value: object) -> Iterator[Mapping[str, Any]]:
    """The objects in a list."""
    return (item for item in sequence(value) if isinstance(item, dict))


def tags(value: object) -> dict[str, str]:
    """Labels whose values are texts or numbers, the first 64 of them."""
    found: dict[str, str] = {}
    for name, item in mapping(value).items():
        written = ("true" if item else "false") if isinstance(item, bool) else text(item)
        if written and len(found) < _TAGS_MAX:
            found[name] = written
    return found


def labelled(labels: Mapping[str, str], **more: str) -> dict[str, str]:
    """Tags and some of ours, those that are not empty, no more than a contract takes."""
    return dict(list({**{name: item for name, item in more.items() if item}, **labels}.items())[:_TAGS_MAX])


def bounded(value: Any) -> Any:
    """A free-form value of no more depth and parts than a consumer reads; a note stands for what was left out.

    The levels that a contract puts around it, four at most, are left to it.
    """
    return _bounded(value, NESTING_MAX - 4, [_PARTS_MAX])


def _bounded(value: Any, levels: int, parts_left: list[int]) -> Any:
    if isinstance(value, dict | list):
        parts_left[0] -= len(value)
        if not levels or parts_left[0] < 0:
            return _PRUNED
        if isinstance(value, dict):
            return {name: _bounded(item, levels - 1, parts_left) for name, item in value.items()}
        return [_bounded(item, levels - 1, parts_left) for item in value]
    return value
