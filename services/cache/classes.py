"""Cache classes and keys, and the names by which an entry is forgotten.

A key is `class:part[:part...]`, such as `technicians:available`. An entry is forgotten by any of its *surrogate
keys* (Fastly's and Varnish xkey's word): the key itself, each prefix of it (`technicians:*`), and each of its
tags, written `#tag` here. A change is a set of surrogate keys too, so that whether the one concerns the other is
whether they share a name, however many entries there are.
"""

import re
from collections.abc import Iterable
from typing import NamedTuple

from shared.contracts.cache import CACHE_KEY_PATTERN, Change
from shared.errors import Invalid, NotFound

#: As long as the `key` of a Change may be: what can be cached can be invalidated.
KEY_REST_LENGTH_MAX = 200


class CacheClass(NamedTuple):
    """One kind of entry."""

    name: str
    #: How long an entry lives, in seconds, unless whoever sets it says otherwise.
    ttl_s: int
    #: What is in it.
    description: str


#: Every class, by name: a new one is a line here, and its sources in sources.py.
CLASSES = {
    row.name: row
    for row in (
        CacheClass("api_responses", 300, "Answers of other services; only set, never filled."),
        CacheClass("technicians", 1800, "People who repair things."),
        CacheClass("properties", 600, "Buildings that are looked after."),
        CacheClass("maintenance_requests", 120, "What is to be repaired, and how far that is."),
        CacheClass("categories", 3600, "Kinds of repairs."),
    )
}


class Key(NamedTuple):
    """A cache key that follows the grammar, of a known class."""

    text: str
    cache_class: CacheClass

    @property
    def rest(self) -> str:
        """What follows the class."""
        return self.text.partition(":")[2]

    @property
    def surrogates(self) -> tuple[str, ...]:
        """The key and its prefixes: at most nine names."""
        parts = self.text.split(":")
        return (self.text, *(":".join(parts[:n]) + ":*" for n in range(1, len(parts))))


def parse(text: str) -> Key:
    """Read a key. Raises Invalid where it does not follow the grammar, NotFound for an unknown class."""
    # fullmatch, since $ also matches before a newline at the end
    if re.fullmatch(CACHE_KEY_PATTERN, text) is None:
        raise Invalid(f"A cache key follows {CACHE_KEY_PATTERN}, such as `technicians:available`.")
    name, _, rest = text.partition(":")
    if len(rest) > KEY_REST_LENGTH_MAX:
        raise Invalid(f"What follows the class in a cache key has at most {KEY_REST_LENGTH_MAX} characters.")
    if name not in CLASSES:
        raise NotFound(f"There is no cache class {name}; there are {', '.join(CLASSES)}.")
    return Key(text, CLASSES[name])


def tag_surrogates(tags: Iterable[str]) -> tuple[str, ...]:
    """The names by which an entry with these tags is forgotten: `#technicians:7` and `#technicians:*`."""
    return tuple(name for tag in tags for name in _tag_names(tag))


def _tag_names(tag: str) -> tuple[str, ...]:
    entity, colon, _ = tag.partition(":")
    return (f"#{tag}", f"#{entity}:*") if colon else (f"#{tag}",)


def changed(change: Change) -> tuple[str, ...]:
    """The surrogate keys that a change forgets.

    One entity's change forgets its own entry, what lies below it, what is tagged with it, and what is tagged
    with the whole entity: the lists that it may be on. A change of the whole entity forgets everything of it.
    """
    names = [f"#{tag}" for tag in change.tags]
    if change.pattern is not None:
        names.append(change.pattern)
    if change.entity is not None and change.key is not None:
        one = f"{change.entity}:{change.key}"
        names += [one, f"{one}:*", f"#{one}", f"#{change.entity}"]
    elif change.entity is not None:
        names += [f"{change.entity}:*", f"#{change.entity}", f"#{change.entity}:*"]
    return tuple(dict.fromkeys(names))
