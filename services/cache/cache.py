"""A value by its key: from L1, or from Redis, or from its source, each asked by one task a key at a time.

What may be stored is decided by tokens. A fill notes the generation of L1 and the token of Redis before it asks
PostgreSQL; an invalidation that comes meanwhile makes both void, so a slow fill cannot bring back what was dropped.
"""

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from enum import StrEnum

from services.cache import metrics, sources
from services.cache.backend import Backend, Forgetting, Position, Token
from services.cache.classes import Key, changed, tag_surrogates
from services.cache.entry import Entry, make
from services.cache.memory import Memory
from services.cache.settings import CacheSettings
from shared import logs
from shared.clock import Clock
from shared.contracts.cache import Invalidation
from shared.errors import StoreUnavailable

_log = logs.get(__name__)


class Outcome(StrEnum):
    """Where an answer came from, in one word."""

    HIT = "HIT"
    MISS = "MISS"
    #: From L1, after the time in which it is served unasked: Redis did not confirm it, and the source is away.
    STALE = "STALE"


@dataclass(frozen=True, slots=True)
class Answer:
    """An entry, and how it was come by."""

    entry: Entry
    outcome: Outcome
    #: What is left of its time to live, in seconds.
    ttl_s: float
    #: `l1` or `l2` for a hit; empty for a miss.
    level: str = ""
    #: Whether a miss was stored, so that the next get may be a hit.
    stored: bool = False
    #: Whether it was waited for together with another get.
    collapsed: bool = False


@dataclass(frozen=True, slots=True)
class _Flight:
    """A get under way that others may join."""

    task: "asyncio.Task[Answer | None]"
    #: The generation of L1 when it began.
    generation: int


class Cache:
    """Both levels, and the way to the source."""

    def __init__(
        self,
        settings: CacheSettings,
        memory: Memory,
        backend: Backend,
        database: sources.Database,
        clock: Clock,
    ) -> None:
        self._value_bytes_max = settings.cache_value_bytes_max
        self._memory = memory
        self._backend = backend
        self._database = database
        self._clock = clock
        self._flights: dict[str, _Flight] = {}
        self._tasks: set[asyncio.Task[Answer | None]] = set()

    @property
    def redis_in_use(self) -> bool:
        """False while this replica goes on without Redis."""
        return self._backend.available

    async def get(self, key: Key) -> Answer | None:
        """The value of a key; None where there is none.

        Raises StoreUnavailable when it is not cached and PostgreSQL is away.
        """
        name = key.cache_class.name
        now = self._memory.timer()
        held = self._memory.get(key.text)
        if held is not None and now < held.fresh_until:
            metrics.HITS.labels(name, "l1").inc()
            return Answer(held.entry, Outcome.HIT, held.ttl_s(now), level="l1")
        try:
            answer = await self._look_further(key)
        except StoreUnavailable:
            held = self._memory.get(key.text)  # it may have been forgotten meanwhile
            if held is None:
                raise
            metrics.STALE.labels(name).inc()
            return Answer(held.entry, Outcome.STALE, held.ttl_s(self._memory.timer()))
        if answer is None or answer.outcome is Outcome.MISS:
            metrics.MISSES.labels(name).inc()
        else:
            metrics.HITS.labels(name, answer.level).inc()
        return answer

    async def replace(
        self, key: Key, data: bytes, *, tags: Sequence[str], ttl_s: int, invalidation: Invalidation
    ) -> Entry:
        """Set a value, which is JSON, in Redis; the invalidation of the old one is applied there with it.

        L1 holds the old value until the invalidation is applied, here as in every replica.
        Raises StoreUnavailable without Redis: a value that only one replica has is not set.
        """
        entry = make(key, data, tags=tags, ttl_s=ttl_s, now=self._clock.now())
        forgetting = Forgetting(invalidation.id, changed(invalidation), None)
        await self._backend.replace(key, entry, ttl_s=ttl_s, forgetting=forgetting)
        metrics.SETS.labels(key.cache_class.name).inc()
        return entry

    async def apply(self, invalidation: Invalidation, position: Position | None = None) -> None:
        """Forget what an invalidation says, in L1 and in Redis; returning means that no get returns it any more.

        While Redis is away it is not used either, and what is to be forgotten there is forgotten before it is used
        again.
        """
        surrogates = changed(invalidation)
        self._memory.forget(surrogates)
        await self._backend.forget(Forgetting(invalidation.id, surrogates, position))
        # once more: meanwhile a get may have brought the old value from Redis into L1
        self._memory.forget(surrogates)

    async def pass_over(self, position: Position) -> None:
        """Remember that the record before `position` says nothing, so that no replica reads it again."""
        await self._backend.forget(
            Forgetting(f"passed-over:{position.partition}:{position.offset}", (), position)
        )

    async def forget_everything(self, positions: dict[int, int]) -> None:
        """Forget both levels: invalidations may have been missed, and are read from `positions` from now on."""
        self._memory.forget_everything()
        await self._backend.forget_everything(positions)
        self._memory.forget_everything()

    async def close(self) -> None:
        """Cancel the fills under way; nobody waits for them any more."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _look_further(self, key: Key) -> Answer | None:
        """Beyond L1, together with whoever looks for the same key."""
        arrived = self._memory.generation
        flight = self._flights.get(key.text)
        if flight is not None:
            answer = await asyncio.shield(flight.task)
            surrogates = _surrogates(key) if answer is None else answer.entry.surrogates
            # it may have read its value before an invalidation that was over when this get arrived
            if flight.generation >= arrived or not self._memory.forgotten(
                surrogates, since=flight.generation
            ):
                return answer and replace(answer, collapsed=True)
        # one that is under way now began after this get arrived
        flight = self._flights.get(key.text) or self._take_off(key)
        return await asyncio.shield(flight.task)

    def _take_off(self, key: Key) -> _Flight:
        # a task of its own: whoever asked first may hang up, and the others still want the value
        task = asyncio.create_task(self._load(key, self._memory.generation))
        flight = _Flight(task, self._memory.generation)
        self._flights[key.text] = flight
        self._tasks.add(task)
        task.add_done_callback(lambda _: self._land(key, flight))
        return flight

    def _land(self, key: Key, flight: _Flight) -> None:
        self._tasks.discard(flight.task)
        if self._flights.get(key.text) is flight:
            del self._flights[key.text]
        with suppress(asyncio.CancelledError):
            flight.task.exception()  # those who wait get it; without them nobody would look at it

    async def _load(self, key: Key, generation: int) -> Answer | None:
        token, found = await self._backend.read(key)
        if found is not None:
            self._memory.put(key.text, found.entry, ttl_s=found.ttl_s, generation=generation)
            return Answer(found.entry, Outcome.HIT, found.ttl_s, level="l2")
        query = sources.query_of(key)
        data = None if query is None else await self._fetch(key, query)
        if query is None or data is None:
            return None
        ttl_s = key.cache_class.ttl_s
        entry = make(key, data, tags=query.source.tags, ttl_s=ttl_s, now=self._clock.now())
        stored = await self._keep(key, entry, ttl_s=ttl_s, token=token, generation=generation)
        return Answer(entry, Outcome.MISS, ttl_s, stored=stored)

    async def _fetch(self, key: Key, query: sources.Query) -> bytes | None:
        name = key.cache_class.name
        try:
            with metrics.FILL_DURATION.labels(name).time():
                return await self._database.fetch(query)
        except StoreUnavailable:
            metrics.FILLS_FAILED.labels(name).inc()
            raise

    async def _keep(
        self, key: Key, entry: Entry, *, ttl_s: int, token: Token | None, generation: int
    ) -> bool:
        """Store a fill in both levels, if it was not overtaken; whether it was stored."""
        if len(entry.body) > self._value_bytes_max:
            _log.warning("value_too_large", key=key.text, bytes=len(entry.body))
            return False
        if token is not None:
            try:
                accepted = await self._backend.store(key, entry, ttl_s=ttl_s, token=token)
            except StoreUnavailable as error:
                _log.debug("fill_not_stored", key=key.text, error=str(error))
                accepted = True  # L1 has its own fence
        else:
            accepted = True
        if not accepted or self._memory.forgotten(entry.surrogates, since=generation):
            metrics.FILLS_REFUSED.labels(key.cache_class.name).inc()
            return False
        self._memory.put(key.text, entry, ttl_s=ttl_s, generation=generation)
        return True


def _surrogates(key: Key) -> tuple[str, ...]:
    """The names of an entry that is not there."""
    query = sources.query_of(key)
    return key.surrogates if query is None else (*key.surrogates, *tag_surrogates(query.source.tags))
