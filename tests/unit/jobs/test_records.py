"""Streams of records: decoding, and batches that grow with the load."""

import asyncio
from collections.abc import AsyncIterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.jobs.records import Decoder, Record, batched
from shared.contracts.dead_letter import Origin
from shared.contracts.topics import TOPICS
from shared.errors import PoisonRecord

INPUTS = [topic for topic in TOPICS.values() if topic.dead_letter is not None]


def record(offset: int) -> Record:
    return Record(None, b"{}", [], Origin("t", 0, offset, 0), ack=lambda: None)


async def stream(count: int) -> AsyncIterator[Record]:
    for offset in range(count):
        yield record(offset)


@pytest.mark.parametrize("topic", INPUTS, ids=lambda topic: topic.name)
@given(value=st.one_of(st.none(), st.binary(max_size=100), st.from_regex(rb"\[{0,50}", fullmatch=True)))
def test_bytes_are_a_payload_or_poison_and_nothing_else(topic: object, value: bytes | None) -> None:
    decoder: Decoder[object] = Decoder(topic.payload)  # type: ignore[attr-defined]
    try:
        decoder.decode(value)
    except PoisonRecord as poison:
        assert poison.reason in {"empty", "json", "schema"}


async def test_batches_hold_everything_in_order_and_no_more_than_their_size() -> None:
    batches = [[r.origin.offset for r in batch] async for batch in batched(stream(25), 10)]
    assert [offset for batch in batches for offset in batch] == list(range(25))
    assert max(map(len, batches)) <= 10


async def test_a_batch_does_not_wait_for_more() -> None:
    more = asyncio.Event()

    async def slow() -> AsyncIterator[Record]:
        yield record(0)
        await more.wait()
        yield record(1)

    batches = batched(slow(), 10)
    async with asyncio.timeout(5):
        assert len(await anext(batches)) == 1
    more.set()
    assert len(await anext(batches)) == 1


async def test_a_stream_that_fails_fails_its_agent() -> None:
    async def broken() -> AsyncIterator[Record]:
        yield record(0)
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        async for _ in batched(broken(), 10):
            pass
