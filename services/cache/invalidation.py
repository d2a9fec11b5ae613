"""Invalidations: announced on Kafka before anybody is told that something was forgotten, and read back from it."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec

from services.cache.backend import Position
from services.cache.cache import Cache
from services.cache.classes import Key
from services.cache.entry import Entry
from services.cache.publisher import Publisher
from shared.clock import Clock
from shared.contracts.cache import Change, Invalidation
from shared.errors import PoisonRecord
from shared.ids import new_id

_decoder = msgspec.json.Decoder(Invalidation)


class Announced(NamedTuple):
    """An invalidation that Kafka has, and that this replica has applied."""

    invalidation: Invalidation
    #: Where its record stands.
    position: Position


class Announcer:
    """Tells every replica what to forget, this one first."""

    def __init__(self, publisher: Publisher, cache: Cache, clock: Clock) -> None:
        self._publisher = publisher
        self._cache = cache
        self._clock = clock

    async def invalidate(self, change: Change) -> Announced:
        """Publish an invalidation and apply it here. Returning means that every replica is going to read it.

        Raises PublishError when Kafka did not acknowledge it in time: it may be applied later, or never.
        """
        return await self._announce(self._invalidation(change))

    async def set(self, key: Key, data: bytes, *, tags: Sequence[str], ttl_s: int) -> Entry:
        """Set a value, which is JSON, and let every replica forget the old one.

        Raises StoreUnavailable when Redis does not take it, PublishError when Kafka does not acknowledge the
        invalidation: then it is set, and other replicas may answer with the old value until they ask Redis again.
        """
        invalidation = self._invalidation(Change(entity=key.cache_class.name, key=key.rest))
        entry = await self._cache.replace(key, data, tags=tags, ttl_s=ttl_s, invalidation=invalidation)
        await self._announce(invalidation)
        return entry

    def _invalidation(self, change: Change) -> Invalidation:
        return Invalidation(
            id=new_id(),
            requested_at=self._clock.now(),
            entity=change.entity,
            key=change.key,
            pattern=change.pattern,
            tags=change.tags,
        )

    async def _announce(self, invalidation: Invalidation) -> Announced:
        position = await self._publisher.invalidate(invalidation)
        await self._cache.apply(invalidation)
        return Announced(invalidation, position)


def decode(value: bytes | None) -> Invalidation:
    """Read a record's value.

    Raises PoisonRecord: `empty`, `json` for what is no JSON, `schema` for what is no invalidation, `data` for one
    that names nothing.
    """
    if not value:
        raise PoisonRecord("empty", "the record has no value")
    try:
        invalidation = _decoder.decode(value)
    except msgspec.ValidationError as error:
        raise PoisonRecord("schema", str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise PoisonRecord("json", str(error)) from error
    if invalidation.says_nothing():
        raise PoisonRecord("data", "it names neither an entity, nor a pattern, nor a tag")
    return invalidation
