"""Attributes, of a resource or of what it reports, as plain values."""

import math
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
from opentelemetry.proto.resource.v1.resource_pb2 import Resource

from services.ingest.items import NESTING_MAX

_TAGS_MAX = 64
_LEVELS_MAX = NESTING_MAX - 4  # what a contract puts around a value is left to it
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
    """Attributes by name, as JSON can hold them."""
    return {_clean(item.key): plain(item.value) for item in attributes}


def plain(value: AnyValue, levels: int = _LEVELS_MAX) -> Any:
    """A value as JSON can hold it; None for what is nested too deeply, and for numbers that are none."""
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
        case "array_value" if levels:
            return [plain(item, levels - 1) for item in value.array_value.values]
        case "kvlist_value" if levels:
            return {_clean(item.key): plain(item.value, levels - 1) for item in value.kvlist_value.values}
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
