"""The environment variables, read off the settings classes."""

import importlib
import importlib.util
import re
from dataclasses import dataclass, fields
from pathlib import Path
from types import ModuleType
from typing import Literal, get_args, get_origin

from pydantic import AliasChoices, SecretStr
from pydantic.fields import FieldInfo

from deploy.local import settings as local
from deploy.local.ports import Ports
from docs.generate import comments
from shared import settings

SERVICES = ("ingest", "jobs", "cache", "loadgen")
#: Where a comment names its variable in parentheses and backticks.
_NAMED = re.compile(r"\s*\(`([A-Z][A-Z_]+)`\)")
Class = type[settings.ProcessSettings]


@dataclass(frozen=True)
class Variable:
    """One environment variable."""

    name: str
    #: What holds when it is unset, as one would write it; None where it must be set.
    default: str | None
    meaning: str
    #: The values that it takes, where they are few.
    choices: tuple[str, ...] = ()


@dataclass(frozen=True)
class Group:
    """The variables that one settings class declares itself, and who reads them."""

    title: str
    summary: str
    readers: tuple[str, ...]
    variables: tuple[Variable, ...]


def groups() -> list[Group]:
    """The shared groups, then each service's own."""
    of_services = {service: _classes(module) for service in SERVICES if (module := _module(service))}
    found = [
        _group(cls, tuple(s for s, own in of_services.items() if any(issubclass(c, cls) for c in own)))
        for cls in _classes(settings)
    ]
    found += [_group(cls, (service,)) for service, own in of_services.items() for cls in own]
    return [group for group in found if group.variables]


def read_by(service: str) -> dict[str, Variable]:
    """Every variable that `service` reads, by name."""
    variables = [v for group in groups() if service in group.readers for v in group.variables]
    return {variable.name: variable for variable in variables}


def local_stack() -> Group:
    """What moves the stack that `make up` starts; its settings name their variables in their comments."""
    said = comments.of_attributes(local.Settings)
    variables = []
    for field in fields(local.Settings):
        named = _NAMED.search(said.get(field.name, ""))
        if named:
            meaning = _NAMED.sub("", said[field.name])
            variables.append(Variable(named[1], _local_default(field.default), meaning))
    variables += [
        Variable(
            Ports.variable(field.name), str(field.default), f"The port of {field.name.replace('_', ' ')}."
        )
        for field in fields(Ports)
    ]
    return Group("The local stack", comments.summary(local.Settings), ("make",), tuple(variables))


def _local_default(value: object) -> str:
    if isinstance(value, Path):
        return str(value.relative_to(local.PROJECT)) if value.is_relative_to(local.PROJECT) else str(value)
    return "" if value is None else str(value)


def _module(service: str) -> ModuleType | None:
    name = f"services.{service}.settings"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def _classes(module: ModuleType) -> list[Class]:
    """The settings classes that a module declares, in the order of its source."""
    return [
        item
        for item in vars(module).values()
        if isinstance(item, type)
        and issubclass(item, settings.ProcessSettings)
        and item.__module__ == module.__name__
    ]


def _group(cls: Class, services: tuple[str, ...]) -> Group:
    said = comments.of_attributes(cls)
    inherited = {name for base in cls.__mro__[1:] for name in getattr(base, "model_fields", {})}
    variables = [
        _variable(cls, name, field, said.get(name, ""))
        for name, field in cls.model_fields.items()
        if name not in inherited
    ]
    return Group(cls.__name__, comments.summary(cls), services, tuple(variables))


def _variable(cls: Class, attribute: str, field: FieldInfo, comment: str) -> Variable:
    name = str(cls.model_config.get("env_prefix", "")) + attribute.upper()
    if isinstance(field.validation_alias, AliasChoices):
        name = str(field.validation_alias.choices[0])
    elif isinstance(field.validation_alias, str):
        name = field.validation_alias
    literal = get_origin(field.annotation) is Literal
    choices = tuple(str(value) for value in get_args(field.annotation)) if literal else ()
    return Variable(name, _default(field), field.description or comment, choices)


def _default(field: FieldInfo) -> str | None:
    if field.is_required():
        return None
    if field.default_factory is not None:
        return "(made at start)"
    value = field.default
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(value)
