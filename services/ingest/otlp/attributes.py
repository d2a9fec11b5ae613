"""Attributes, of a resource or of what it reports, as plain values."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from services.ingest.items import NESTING_MAX

_TAGS_MAX = 64
_ATTRIBUTES_MAX = 128  # the SDKs' own default
_PARTS_MAX = 1_000  # of all attributes together, lists' and maps' included
_LEVELS_MAX = NESTING_MAX - 3  # what a contract puts around a value is left to it
_NANOSECONDS = 1_000_000_000


class Origin(NamedTuple):
    """What a resource says of everything that it reports (OpenTelemetry's resource conventions)."""

    attributes: dict[str, Any]
    release: str
    environment: str
    server_name: str
    runtime: str
    #: `service.name`, as a tag.
    service: dict[str, str]
    #: The attributes once more, as bytes: what tells origins apart.
    identity: bytes


def origin_of(resource: Resource) -> Origin:
    """The origin that a resource describes."""
    found = values(resource.attributes)
    environment = text(found, "deployment.environment.name") or text(found, "deployment.environment")
    runtime = f"{text(found, 'process.runtime.name')} {text(found, 'process.runtime.version')}".strip()
    service = text(found, "service.name")
    return Origin(
        attributes=found,
        release=text(found, "service.version", 200),
        environment=environment[:64],
        server_name=text(found, "host.name", 200),
        runtime=runtime[:200],
        service={"service.name": service} if service else {},
        identity=msgspec.json.encode(found),
    )


def values(attributes: Iterable[KeyValue]) -> dict[str, Any]:
    """Attributes by name, as JSON can hold them; the first 128, which is where SDKs stop too."""
    parts_left = [_PARTS_MAX]
    return {_clean(item.key): _plain(item.value, parts_left) for item in islice(attributes, _ATTRIBUTES_MAX)}


def plain(value: AnyValue) -> Any:
    """A value as JSON can hold it; None for numbers that are none, and for what is too deep or too much."""
    return _plain(value, [_PARTS_MAX])


def _plain(value: AnyValue, parts_left: list[int], levels: int = _LEVELS_MAX) -> Any:
    parts_left[0] -= 1
    if not levels or parts_left[0] < 0:
        return None
    kind = value.WhichOneof("value")
    match kind:
        case "string_value":
            return _clean(value.string_value)
        case "bool_value" | "int_value":
            return getattr(value, kind)
        case "double_value":
            return value.double_value if math.isfinite(value.double_value) else None
        case "bytes_value":
            return value.bytes_value.hex() if isinstance(value.bytes_value, bytes) else value.bytes_value
        case "array_value":
            some = islice(value.array_value.values, max(parts_left[0], 0))
            return [_plain(item, parts_left, levels - 1) for item in some]
        case "kvlist_value":
            pairs = islice(value.kvlist_value.values, max(parts_left[0], 0))
            return {_clean(item.key): _plain(item.value, parts_left, levels - 1) for item in pairs}
    return None


def text(attributes: Mapping[str, Any], name: str, chars_max: int | None = None) -> str:
    """A scalar attribute as a text, cut after `chars_max` characters; empty when there is none."""
    value = attributes.get(name)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value)[:chars_max] if isinstance(value, str | int | float) else ""


def tags(attributes: Mapping[str, Any], **more: str) -> dict[str, str]:
    """Scalar attributes as labels, and some of ours, no more than a contract takes."""
    every = {**more, **{name: text(attributes, name) for name in attributes}}
    return dict([(name, value) for name, value in every.items() if value][:_TAGS_MAX])


def instant(nanoseconds: int) -> datetime | None:
    """A time in nanoseconds since 1970; 0 is unknown."""
    try:
        return datetime.fromtimestamp(nanoseconds / _NANOSECONDS, UTC) if nanoseconds else None
    except (OverflowError, ValueError, OSError):  # beyond the year 9999
        return None


def hexadecimal(id: bytes | str) -> str:
    """A trace's or span's id as it is written everywhere."""
    return id if isinstance(id, str) else id.hex()


def _clean(text: str) -> str:
    return text.replace("\0", "\ufffd")  # PostgreSQL cannot store it
