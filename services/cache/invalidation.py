"""Invalidations: announced on Kafka before anybody is told that something was forgotten, and read back from it."""

from typing import NamedTuple

import msgspec

from services.cache.backend import Position, Token
from services.cache.cache import Cache
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
    #: For a value that replaces what was forgotten; None while Redis is away.
    token: Token | None


class Announcer:
    """Tells every replica what to forget, this one first."""

    def __init__(self, publisher: Publisher, cache: Cache, clock: Clock) -> None:
        self._publisher = publisher
        self._cache = cache
        self._clock = clock

    async def announce(self, change: Change) -> Announced:
        """Publish an invalidation and apply it here. Returning means that every replica is going to read it.

        Raises PublishError when Kafka did not acknowledge it in time: it may be applied later, or never.
        """
        invalidation = Invalidation(
            id=new_id(),
            requested_at=self._clock.now(),
            entity=change.entity,
            key=change.key,
            pattern=change.pattern,
            tags=change.tags,
        )
        position = await self._publisher.invalidate(invalidation)
        return Announced(invalidation, position, await self._cache.apply(invalidation))


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
