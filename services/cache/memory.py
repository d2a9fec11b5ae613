"""L1: entries in the process itself, bounded in number and in bytes, the least recently used leave first."""

import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from cachetools import TLRUCache

from services.cache.entry import Entry
from services.cache.generations import Generations

#: What Python adds to an entry's bytes: objects, the names of its surrogate keys, slots in three tables.
_OVERHEAD_BYTES = 1024


@dataclass(slots=True)
class Held:
    """An entry in L1; times are the process's monotonic clock, in seconds."""

    entry: Entry
    #: When its time to live is over.
    expires_at: float
    #: Until when it is served without asking Redis.
    fresh_until: float
    #: The latest generation that it is known to be valid in.
    generation: int

    def ttl_s(self, now: float) -> float:
        """What is left of its time to live."""
        return max(0.0, self.expires_at - now)


class Memory:
    """L1. An entry that was forgotten stays until it is looked at, and is never returned."""

    def __init__(
        self,
        *,
        entries_max: int,
        bytes_max: int,
        fresh_s: float,
        tombstones_max: int,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.timer = timer
        self.entries_max = entries_max
        self.bytes_max = bytes_max
        self._fresh_s = fresh_s
        self._generations = Generations(tombstones_max)
        self._held: TLRUCache[str, Held] = TLRUCache(
            bytes_max, ttu=lambda _key, held, _now: held.expires_at, timer=timer, getsizeof=_bytes_of
        )

    @property
    def generation(self) -> int:
        """The current generation: a fill notes it before it asks anybody."""
        return self._generations.current

    @property
    def entries(self) -> int:
        """How many entries there are, those included that were forgotten and not looked at since."""
        return len(self._held)

    @property
    def bytes(self) -> int:
        """What they take."""
        return int(self._held.currsize)

    def get(self, key: str) -> Held | None:
        """The entry, unless it was forgotten or its time to live is over."""
        held = self._held.get(key)
        if held is None:
            return None
        if self._generations.forgotten(held.entry.surrogates, since=held.generation):
            self._held.pop(key, None)
            return None
        held.generation = self.generation
        return held

    def put(self, key: str, entry: Entry, *, ttl_s: float, generation: int) -> None:
        """Hold an entry that was read in `generation`, unless it was forgotten since, or is too large."""
        if self._generations.forgotten(entry.surrogates, since=generation):
            return
        # the clock stands still, so that nothing expires between being looked at and being replaced
        with self._held.timer as now:
            held = Held(entry, now + ttl_s, now + min(ttl_s, self._fresh_s), generation)
            if ttl_s <= 0 or _bytes_of(held) > self.bytes_max:
                self._held.pop(key, None)
                return
            while len(self._held) >= self.entries_max and key not in self._held:
                self._held.popitem()
            self._held[key] = held

    def forget(self, surrogates: Iterable[str]) -> None:
        """Forget every entry that has one of these names, and every fill under way of one."""
        self._generations.forget(surrogates)

    def forget_everything(self) -> None:
        """Forget every entry, and every fill under way."""
        self._generations.forget_everything()
        self._held.clear()

    def forgotten(self, surrogates: Iterable[str], *, since: int) -> bool:
        """Whether something with these names, read in generation `since`, was forgotten."""
        return self._generations.forgotten(surrogates, since=since)


def _bytes_of(held: Held) -> int:
    return len(held.entry.body) + _OVERHEAD_BYTES
