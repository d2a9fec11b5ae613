"""A record as an agent sees it: bytes, where they came from, and a way to say that it is done with."""

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Generic, TypeVar

import msgspec

from shared.contracts.dead_letter import Origin
from shared.errors import PoisonRecord

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Record:
    """One record of a topic. It is delivered again after a crash unless `ack` was called."""

    key: bytes | None
    value: bytes | None
    headers: list[tuple[str, bytes]]
    origin: Origin
    ack: Callable[[], object]


class Decoder(Generic[T]):
    """Bytes to a payload of the topic table."""

    def __init__(self, payload: type[T]) -> None:
        self._decoder: msgspec.json.Decoder[T] = msgspec.json.Decoder(payload)

    def decode(self, value: bytes | None) -> T:
        """Raises PoisonRecord: `empty`, `json` for what is no JSON, `schema` for what is not the payload."""
        if not value:
            raise PoisonRecord("empty", "the record has no value")
        try:
            return self._decoder.decode(value)
        except msgspec.ValidationError as error:
            raise PoisonRecord("schema", str(error)) from error
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise PoisonRecord("json", str(error)) from error


async def batched(records: AsyncIterable[Record], size: int) -> AsyncIterator[list[Record]]:
    """What has arrived, up to `size` records at a time, without waiting for more.

    While a batch is being worked on the next one fills, so batches grow with the load by themselves. At most
    `size` records wait here; then the stream is not read any further.
    """
    arrived: asyncio.Queue[Record] = asyncio.Queue(maxsize=size)

    async def pump() -> None:
        async for record in records:
            await arrived.put(record)

    pumping = asyncio.create_task(pump())
    try:
        while True:
            first = asyncio.create_task(arrived.get())
            await asyncio.wait((first, pumping), return_when=asyncio.FIRST_COMPLETED)
            if not first.done():
                first.cancel()
                await pumping  # the stream ended, or failed: let the agent know which
                return
            batch = [first.result()]
            while len(batch) < size and not arrived.empty():
                batch.append(arrived.get_nowait())
            yield batch
    finally:
        pumping.cancel()
        with suppress(asyncio.CancelledError):
            await pumping
