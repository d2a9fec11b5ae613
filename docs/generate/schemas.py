"""JSON Schema (draft 2020-12) of every payload of the topic table, under names that a person would choose."""

import re
from typing import Any

import msgspec

from shared.contracts.topics import TOPICS, Topic

DIALECT = "https://json-schema.org/draft/2020-12/schema"

#: msgspec titles a generic type `Envelope[Error]`; readers know it as ErrorEnvelope.
_GENERIC = re.compile(r"(\w+)\[(\w+)\]")


def payloads() -> list[Any]:
    """The payload types, each once, in the order of the table."""
    return list(dict.fromkeys(topic.payload for topic in TOPICS.values() if topic.payload is not None))


def name_of(payload: Any) -> str:
    """The name of a payload's schema, such as `JobRequest` or `ErrorEnvelope`."""
    arguments = getattr(payload, "__args__", ())
    name: str = payload.__name__
    return "".join(argument.__name__ for argument in arguments) + name


def components(prefix: str, types: list[Any] | None = None) -> dict[str, Any]:
    """The schemas of `types` (all payloads by default) and of what they contain, by name.

    `prefix` is where the document keeps them, such as `#/components/schemas/`: references start with it.
    """
    _, raw = msgspec.json.schema_components(
        payloads() if types is None else types, ref_template=prefix + "{name}"
    )
    names = {name: _readable(schema.get("title", name)) for name, schema in raw.items()}
    renamed = {prefix + name: prefix + readable for name, readable in names.items()}
    return {
        names[name]: {**_with_references(schema, renamed), "title": names[name]}
        for name, schema in raw.items()
    }


def of_topic(topic: Topic) -> dict[str, Any]:
    """The schema of a topic's payload, complete in itself; its `$id` is what `ce_dataschema` says."""
    prefix = "#/$defs/"
    return {
        "$schema": DIALECT,
        "$id": topic.schema,
        "title": f"{topic.name}: {name_of(topic.payload)}",
        "description": topic.description,
        "$ref": prefix + name_of(topic.payload),
        "$defs": components(prefix, [topic.payload]),
    }


def _readable(title: str) -> str:
    match = _GENERIC.fullmatch(title)
    return match[2] + match[1] if match else title


def _with_references(value: Any, renamed: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {
            key: renamed[item] if key == "$ref" and isinstance(item, str) else _with_references(item, renamed)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_with_references(item, renamed) for item in value]
    return value
