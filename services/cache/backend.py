"""L2: entries in Redis, shared by all replicas, and what keeps them true while Redis comes and goes.

The scripts in `lua/` do what must happen at once. What a replica could not forget while Redis was away it owes,
and it uses Redis again only after that debt is paid.
"""

from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from enum import Enum, auto
from typing import Final, NamedTuple

from services.cache.classes import Key
from services.cache.connection import STATE_KEY, Connection
from services.cache.entry import Entry
from services.cache.settings import CacheSettings
from shared.errors import StoreUnavailable

_ENTRY: Final = "signalbox:cache:entry:"
_SEEN: Final = "signalbox:cache:seen:"
_CLAIM: Final = "signalbox:cache:claim:"
_POSITIONS: Final = "signalbox:cache:positions"

#: How long Redis remembers that an invalidation was applied, so that the next replica that comes with it does not
#: drop what was filled since: much longer than replicas lag, and short enough for hundreds a second.
SEEN_MS: Final = 600_000
#: Invalidations that a replica owes Redis, at most; with one more it owes a new epoch instead.
OWED_MAX: Final = 10_000


class Token(NamedTuple):
    """When something was read; shown with what is to be stored, so that Redis can refuse what is old."""

    epoch: bytes
    generation: int


class Found(NamedTuple):
    """A valid entry in Redis."""

    entry: Entry
    ttl_s: float


class Reading(NamedTuple):
    """What Redis said to a read; nothing at all while it is away."""

    token: Token | None = None
    found: Found | None = None


class Position(NamedTuple):
    """A place in the log of invalidations."""

    partition: int
    offset: int


@dataclass(frozen=True, slots=True)
class Forgetting:
    """What to forget, once for all replicas."""

    id: str
    surrogates: tuple[str, ...]
    #: The first offset that is not applied after it; None when it was not read from Kafka.
    position: Position | None


class Claim(Enum):
    """Whose task it is. While Redis is away every replica thinks that it is its own."""

    OURS = auto()
    THEIRS = auto()
    DONE = auto()


class Backend:
    """The entries in Redis. Without Redis there is nothing to read, and forgetting is put off."""

    def __init__(self, settings: CacheSettings) -> None:
        self.connection = Connection(settings, settle=self._pay)
        self._tombstones_max = settings.cache_tombstones_max
        self._read = self.connection.script("read")
        self._store = self.connection.script("store")
        self._forget = self.connection.script("forget")
        self._replace = self.connection.script("replace")
        self._renew = self.connection.script("renew")
        self._owed: deque[Forgetting] = deque()
        self._owes_everything = False

    @property
    def available(self) -> bool:
        """Whether Redis is used."""
        return self.connection.available

    async def read(self, key: Key) -> Reading:
        """The entry if there is a valid one, and in any case the token for a fill."""
        if not self.available:
            return Reading()
        try:
            answer = await self.connection.ask(self._read(keys=[STATE_KEY, _ENTRY + key.text]))
        except StoreUnavailable:
            return Reading()
        epoch, generation, *entry = answer
        token = Token(epoch, generation)
        if not entry:
            return Reading(token)
        body, etag, names, left_ms = entry
        return Reading(
            token, Found(Entry(body, etag.decode(), tuple(names.decode().split("\n"))), left_ms / 1000)
        )

    async def store(self, key: Key, entry: Entry, *, ttl_s: int, token: Token) -> bool:
        """Store what was read under `token`. False: it was forgotten since, and must not be kept anywhere.

        Raises StoreUnavailable when Redis is away or full.
        """
        names = "\n".join(entry.surrogates)
        command = self._store(
            keys=[STATE_KEY, _ENTRY + key.text],
            args=[token.epoch, token.generation, names, entry.body, entry.etag, ttl_s * 1000],
        )
        return bool(await self.connection.ask(command, refusable=True))

    async def replace(self, key: Key, entry: Entry, *, ttl_s: int, forgetting: Forgetting) -> None:
        """Forget and store at once: a fill that is under way cannot overwrite it.

        Raises StoreUnavailable when Redis is away or full.
        """
        if not self.available:
            raise StoreUnavailable("Redis is away; without it a value cannot be set.")
        names, forgotten = "\n".join(entry.surrogates), "\n".join(forgetting.surrogates)
        command = self._replace(
            keys=[STATE_KEY, _SEEN + forgetting.id, _ENTRY + key.text],
            args=[
                *(SEEN_MS, self._tombstones_max, _ENTRY, forgotten),
                *(names, entry.body, entry.etag, ttl_s * 1000),
            ],
        )
        await self.connection.ask(command, refusable=True)

    async def forget(self, forgetting: Forgetting) -> None:
        """Forget in Redis, or owe it: then it is forgotten before Redis is used again."""
        if self.available:
            with suppress(StoreUnavailable):
                await self._forget_now(forgetting)
                return
        self._owed.append(forgetting)
        if len(self._owed) > OWED_MAX:
            self._owe_everything()

    async def forget_everything(self, positions: Mapping[int, int]) -> None:
        """Start a new epoch, or owe one; in it, invalidations are read from `positions`."""
        if self.available:
            with suppress(StoreUnavailable):
                await self._renew_now(positions)
                return
        self._owe_everything()

    async def positions(self) -> dict[int, int]:
        """Up to where all invalidations are applied in Redis, by partition; empty when nobody can say."""
        if not self.available:
            return {}
        try:
            found = await self.connection.ask(self.connection.redis.hgetall(_POSITIONS))
        except StoreUnavailable:
            return {}
        return {int(partition): int(offset) for partition, offset in found.items()}

    async def claim(self, task: str, *, seconds: float) -> Claim:
        """Take a task that one replica is enough for; it is free again after `seconds` unless it is `done`."""
        if not self.available:
            return Claim.OURS
        redis = self.connection.redis
        with suppress(StoreUnavailable):
            taken = redis.set(_CLAIM + task, b"taken", nx=True, px=int(seconds * 1000))
            if await self.connection.ask(taken):
                return Claim.OURS
            found = await self.connection.ask(redis.get(_CLAIM + task))
            return Claim.DONE if found == b"done" else Claim.THEIRS
        return Claim.OURS

    async def done(self, task: str) -> None:
        """Tell the other replicas that a claimed task is done. Without Redis they do it again."""
        if self.available:
            with suppress(StoreUnavailable):
                await self.connection.ask(self.connection.redis.set(_CLAIM + task, b"done", px=SEEN_MS))

    def _owe_everything(self) -> None:
        self._owed.clear()
        self._owes_everything = True

    async def _pay(self) -> None:
        # requests and the reader of invalidations go on meanwhile, and may add to what is owed
        while self._owes_everything or self._owed:
            if self._owes_everything:
                await self._renew_now({})
                self._owes_everything = False
                continue
            forgetting = self._owed.popleft()
            try:
                await self._forget_now(forgetting)
            except BaseException:
                self._owed.appendleft(forgetting)
                raise

    async def _forget_now(self, forgetting: Forgetting) -> None:
        partition, offset = forgetting.position or ("", "")
        names = "\n".join(forgetting.surrogates)
        command = self._forget(
            keys=[STATE_KEY, _SEEN + forgetting.id, _POSITIONS],
            args=[SEEN_MS, self._tombstones_max, partition, offset, _ENTRY, names],
        )
        await self.connection.ask(command)

    async def _renew_now(self, positions: Mapping[int, int]) -> None:
        pairs = [number for pair in positions.items() for number in pair]
        await self.connection.ask(self._renew(keys=[STATE_KEY, _POSITIONS], args=pairs))
