"""A cached value, as it is stored and as it is sent: the same bytes, made once."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta, Struct

from services.cache.classes import Key, tag_surrogates


class EntryBody(Struct, kw_only=True):
    """What a get answers. `max-age` says how much of `ttl_s` is left, so the body stays the same."""

    key: Annotated[str, Meta(description="The cache key.")]
    data: Annotated[msgspec.Raw, Meta(description="The value: any JSON.")]
    cached_at: Annotated[datetime, Meta(description="When it was read from its source, or set.")]
    ttl_s: Annotated[int, Meta(description="How long it lives, in seconds from `cached_at`.")]


@dataclass(frozen=True, slots=True)
class Entry:
    """One value under one key."""

    #: An EntryBody in JSON.
    body: bytes
    #: Weak, since it is made of `data` alone: a refill of the same data is the same for a client.
    etag: str
    #: The names by which it is forgotten, its tags included.
    surrogates: tuple[str, ...]


def make(key: Key, data: bytes, *, tags: Iterable[str], ttl_s: int, now: datetime) -> Entry:
    """Wrap `data`, which is JSON."""
    body = EntryBody(key=key.text, data=msgspec.Raw(data), cached_at=now, ttl_s=ttl_s)
    return Entry(
        body=msgspec.json.encode(body),
        etag=f'W/"{hashlib.blake2b(data, digest_size=12).hexdigest()}"',
        surrogates=tuple(dict.fromkeys((*key.surrogates, *tag_surrogates(tags)))),
    )
