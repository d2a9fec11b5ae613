"""One replica that goes on without Redis: one fill a key, and none that outlives an invalidation."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from services.cache.backend import Backend
from services.cache.cache import Cache, Outcome
from services.cache.classes import parse
from services.cache.memory import Memory
from services.cache.settings import CacheSettings
from services.cache.sources import Database, Query
from shared.clock import SystemClock
from shared.contracts.cache import Invalidation
from shared.errors import StoreUnavailable

KEY = parse("technicians:7")


class Script(Database):
    """A database whose every answer the test gives, in the order of the questions."""

    def __init__(self) -> None:
        self.asked: list[asyncio.Future[bytes | None]] = []

    async def fetch(self, query: Query) -> bytes | None:
        self.asked.append(asyncio.get_running_loop().create_future())
        return await self.asked[-1]


class Timer:
    """A clock that moves when it is told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


class Replica:
    """A cache without Redis, and the hands on its database and its clock."""

    def __init__(self) -> None:
        settings = CacheSettings(public_key="public", secret_key="secret")  # type: ignore[arg-type]
        self.timer = Timer()
        self.database = Script()
        self.backend = Backend(settings)  # nobody opens it, so Redis counts as away
        memory = Memory(entries_max=100, bytes_max=100_000, fresh_s=3, tombstones_max=100, timer=self.timer)
        self.cache = Cache(settings, memory, self.backend, self.database, SystemClock())

    async def asked(self, times: int) -> None:
        """Let the tasks run that ask the database; it was asked so often then."""
        await self.settle()
        assert len(self.database.asked) == times

    async def settle(self) -> None:
        """Let everything run that can run."""
        for _ in range(20):
            await asyncio.sleep(0)


@pytest.fixture
async def replica() -> AsyncIterator[Replica]:
    made = Replica()
    yield made
    await made.cache.close()
    await made.backend.connection.close()


def changed(id: str = "1") -> Invalidation:
    return Invalidation(id=id, requested_at=SystemClock().now(), entity="technicians", key="7")


async def test_a_thousand_gets_of_a_cold_key_are_one_fill(replica: Replica) -> None:
    gets = [asyncio.create_task(replica.cache.get(KEY)) for _ in range(1000)]
    await replica.asked(1)
    replica.database.asked[0].set_result(b'{"id":7}')
    answers = await asyncio.gather(*gets)
    assert len(replica.database.asked) == 1
    assert {answer.entry.body for answer in answers if answer} == {
        answers[0].entry.body if answers[0] else b""
    }
    assert sum(answer.collapsed for answer in answers if answer) == 999


async def test_a_fill_that_an_invalidation_overtook_is_answered_and_not_kept(replica: Replica) -> None:
    slow = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(1)
    await replica.cache.apply(changed())
    replica.database.asked[0].set_result(b'"old"')
    answer = await slow
    assert answer is not None
    assert (answer.outcome, answer.stored) == (Outcome.MISS, False)

    after = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(2)
    replica.database.asked[1].set_result(b'"new"')
    answer = await after
    assert answer is not None
    assert b'"new"' in answer.entry.body


async def test_a_get_after_an_invalidation_does_not_join_a_fill_from_before(replica: Replica) -> None:
    before = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(1)
    await replica.cache.apply(changed())
    after = [asyncio.create_task(replica.cache.get(KEY)) for _ in range(100)]
    await replica.settle()
    replica.database.asked[0].set_result(b'"old"')
    await before
    await replica.asked(2)
    replica.database.asked[1].set_result(b'"new"')
    answers = await asyncio.gather(*after)
    assert all(answer is not None and b'"new"' in answer.entry.body for answer in answers)
    assert len(replica.database.asked) == 2


async def test_a_row_that_was_missing_is_found_after_the_change_that_made_it(replica: Replica) -> None:
    before = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(1)
    await replica.cache.apply(changed())
    after = asyncio.create_task(replica.cache.get(KEY))
    await replica.settle()
    replica.database.asked[0].set_result(None)
    assert await before is None
    await replica.asked(2)
    replica.database.asked[1].set_result(b'"new"')
    assert await after is not None


async def test_who_hangs_up_does_not_take_the_value_from_the_others(replica: Replica) -> None:
    first = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(1)
    second = asyncio.create_task(replica.cache.get(KEY))
    await replica.settle()
    first.cancel()
    replica.database.asked[0].set_result(b'"value"')
    assert await second is not None


async def test_an_entry_past_its_time_in_l1_is_served_stale_while_its_source_is_away(
    replica: Replica,
) -> None:
    get = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(1)
    replica.database.asked[0].set_result(b'"value"')
    await get
    replica.timer.now = 10.0
    get = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(2)
    replica.database.asked[1].set_exception(StoreUnavailable("away"))
    answer = await get
    assert answer is not None
    assert answer.outcome is Outcome.STALE
    assert answer.ttl_s == KEY.cache_class.ttl_s - 10


async def test_what_was_forgotten_is_not_served_stale(replica: Replica) -> None:
    get = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(1)
    replica.database.asked[0].set_result(b'"value"')
    await get
    await replica.cache.apply(changed())
    get = asyncio.create_task(replica.cache.get(KEY))
    await replica.asked(2)
    replica.database.asked[1].set_exception(StoreUnavailable("away"))
    with pytest.raises(StoreUnavailable):
        await get


async def test_a_value_cannot_be_set_in_one_replica_alone(replica: Replica) -> None:
    with pytest.raises(StoreUnavailable):
        await replica.cache.replace(KEY, b"1", tags=(), ttl_s=60, invalidation=changed())
