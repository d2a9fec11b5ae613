"""Tables of the payloads' fields: each struct and each enum once, what several share once."""

from collections.abc import Iterator
from enum import Enum
from typing import Any, get_args, get_origin

import msgspec

from docs.generate import comments, schemas
from docs.generate.tables import table
from shared.contracts.events import Uuid

_HEADER = ["Field", "Type", "Default", "Meaning"]
_BOUNDS = {
    ("minLength", "maxLength"): "{} characters",
    ("minimum", "maximum"): "{}",
    ("minItems", "maxItems"): "{} items",
    ("minProperties", "maxProperties"): "{} entries",
}
_UUID = msgspec.json.schema(Uuid)["pattern"]
_WORDS = {"string": "text", "number": "number", "integer": "whole number", "boolean": "true or false"}


def link(payload: Any) -> str:
    """A link to a payload's section; an envelope names what is in it too."""
    origin = get_origin(payload)
    if origin is None:
        return _link(payload.__name__)
    return f"{_link(origin.__name__)} of {', '.join(link(argument) for argument in get_args(payload))}"


def sections() -> Iterator[str]:
    """The Markdown blocks of all payloads, in the order of the topic table, parts after the whole."""
    types = list(dict.fromkeys(t for payload in schemas.payloads() for t in _types(_info(payload))))
    components = schemas.components("")
    told: set[type] = set()
    for item in types:
        cls: type = get_origin(item) or item
        if cls in told:
            continue
        told.add(cls)
        if issubclass(cls, Enum):
            yield from _enum(cls)
            continue
        instances = [components[schemas.name_of(t)] for t in types if (get_origin(t) or t) is cls]
        properties = _merged([schema["properties"] for schema in instances])
        inherited: list[str] = []
        intro = []
        for base in _bases(cls):
            names = _fields(base)
            if base not in told:
                told.add(base)
                yield from _struct(base, {name: properties[name] for name in names})
            inherited += names
            intro.append(f"The fields of {_link(base.__name__)}, and:")
        own = {name: schema for name, schema in properties.items() if name not in inherited}
        yield from _struct(cls, own, *intro, required=instances[0].get("required", ()))


def _struct(
    cls: type, properties: dict[str, Any], *intro: str, required: tuple[str, ...] = ()
) -> Iterator[str]:
    yield f"### {cls.__name__}"
    yield " ".join([comments.summary(cls), *intro])
    rows = [
        [
            f"`{name}`",
            _type(schema),
            "" if name in required or "default" not in schema else f"`{_json(schema['default'])}`",
            _meaning(schema),
        ]
        for name, schema in properties.items()
    ]
    yield table(_HEADER, rows)


def _enum(cls: type[Enum]) -> Iterator[str]:
    yield f"### {cls.__name__}"
    yield comments.summary(cls)
    said = comments.of_attributes(cls)
    if said:
        yield table(["Value", "Meaning"], [[f"`{item.value}`", said.get(item.name, "")] for item in cls])
    else:
        yield "One of " + ", ".join(f"`{item.value}`" for item in cls) + "."


def _types(info: Any) -> Iterator[Any]:
    """The struct and enum types within a type, itself first, as msgspec sees them."""
    if isinstance(info, msgspec.inspect.StructType):
        yield info.cls
        for field in info.fields:
            yield from _types(field.type)
    elif isinstance(info, msgspec.inspect.EnumType):
        yield info.cls
    elif isinstance(info, msgspec.inspect.UnionType):
        for member in info.types:
            yield from _types(member)
    else:
        for part in ("type", "item_type", "value_type"):
            if hasattr(info, part):
                yield from _types(getattr(info, part))


def _info(payload: Any) -> Any:
    return msgspec.inspect.type_info(payload)


def _bases(cls: type) -> list[type]:
    """The structs that a struct inherits fields from, the furthest first."""
    bases = [base for base in cls.__mro__[1:] if issubclass(base, msgspec.Struct) and _fields(base)]
    return bases[::-1]


def _fields(cls: type) -> list[str]:
    return [field.encode_name for field in msgspec.structs.fields(cls)]


def _merged(instances: list[dict[str, Any]]) -> dict[str, Any]:
    """The properties of a generic struct: where its instances differ, any of theirs."""
    merged = {}
    for name, first in instances[0].items():
        distinct = [properties[name] for properties in instances if properties[name] != first]
        merged[name] = {**first, "anyOf": [first, *distinct]} if distinct else first
    return merged


def _type(schema: dict[str, Any]) -> str:
    if "anyOf" in schema:
        return " or ".join(_type(option) for option in schema["anyOf"])
    if "$ref" in schema:
        return _link(schema["$ref"])
    if "enum" in schema:
        return " or ".join(f"`{value}`" for value in schema["enum"])
    kind = schema.get("type")
    if kind == "array":
        word = f"list of {_type(schema['items'])}"
    elif kind == "object":
        word = (
            f"map of {_type(schema['additionalProperties'])}"
            if "additionalProperties" in schema
            else "object"
        )
    elif schema.get("pattern") == _UUID:
        word = "UUID"
    elif schema.get("format") == "date-time":
        word = "time (RFC 3339)"
    else:
        word = _WORDS.get(str(kind), str(kind or "anything"))
    return ", ".join([word, *_bounds(schema)])


def _bounds(schema: dict[str, Any]) -> Iterator[str]:
    for (least, most), phrase in _BOUNDS.items():
        if least in schema and most in schema:
            yield phrase.format(f"{schema[least]:g} to {schema[most]:g}")
        elif least in schema:
            yield phrase.format(f"at least {schema[least]:g}")
        elif most in schema:
            yield phrase.format(f"at most {schema[most]:g}")
    if "pattern" in schema and schema["pattern"] != _UUID:
        yield f"`{schema['pattern']}`"


def _meaning(schema: dict[str, Any]) -> str:
    """A field's description, which msgspec puts inside the `anyOf` of a field that may be null."""
    if list(schema) == ["enum"]:  # the tag of a tagged union: msgspec's own field, without a description
        return "Tells the types apart."
    options = [schema, *schema.get("anyOf", ())]
    return next((option["description"] for option in options if "description" in option), "")


def _link(name: str) -> str:
    return f"[{name}](#{name.lower()})"


def _json(value: Any) -> str:
    return msgspec.json.encode(value).decode()
