"""From the spool to Kafka: a few chunks at a time, in order, each remembered when Kafka has all of it."""

import asyncio
from collections import deque
from typing import NamedTuple

from services.ingest import metrics
from services.ingest.lanes import Entry, Lanes, Waiter
from services.ingest.record import Message
from services.ingest.spool import Chunk, Spool, Spooled, Walk
from shared import logs
from shared.contracts.topics import TOPICS
from shared.errors import PublishError

_log = logs.get(__name__)

_CHUNKS_IN_FLIGHT_MAX = 16  # so that lanes have their next batch at hand when one is acknowledged
_TIMEOUT_S = 10.0  # nobody waits for these, and a batch given up too early is stored twice


class _Flying(NamedTuple):
    chunk: Chunk
    #: None when nothing of it is sent.
    waiter: Waiter | None

    def has_landed(self) -> bool:
        return self.waiter is None or self.waiter.future.done()


class Replay:
    """One pass over the spool, through lanes that carry nothing else meanwhile."""

    def __init__(self, spool: Spool, lanes: Lanes) -> None:
        self._walk = Walk(spool)
        self._lanes = lanes
        self._flying: deque[_Flying] = deque()
        #: Kafka takes records.
        self.has_landed = False

    async def step(self) -> bool:
        """Send some more, or wait for some; False when Kafka has everything that is on disk by now.

        Raises PublishError when Kafka does not take it, OSError when the disk does not give it.
        """
        if len(self._flying) < _CHUNKS_IN_FLIGHT_MAX:
            chunk = await self._walk.next()
            if chunk is not None:
                self._flying.append(_Flying(chunk, self._send(chunk)))
                await asyncio.sleep(0)  # requests come in between
                return True
        if not self._flying:
            return False
        await self._land()
        return True

    def _send(self, chunk: Chunk) -> Waiter | None:
        messages = [(_message(record), record.timestamp_ms) for record in chunk.records]
        known = [(message, timestamp_ms) for message, timestamp_ms in messages if message is not None]
        if not known:
            return None
        waiter = Waiter(len(known), _TIMEOUT_S)
        waiter.is_spooled = True
        for message, timestamp_ms in known:
            self._lanes.add(Entry(message, waiter, timestamp_ms))
        return waiter

    async def _land(self) -> None:
        """Wait for the oldest chunk, and remember all that Kafka has by then with one sync of the disk."""
        landed: list[Chunk] = []
        try:
            while self._flying and (not landed or self._flying[0].has_landed()):
                chunk, waiter = self._flying.popleft()
                if waiter is not None:
                    await _taken(waiter)
                metrics.REPLAYED.inc(len(chunk.records))
                landed.append(chunk)
        finally:
            if landed:
                await self._walk.finish(landed)
                self.has_landed = True


async def _taken(waiter: Waiter) -> None:
    """Return when Kafka has taken everything that it will ever take. Raises PublishError."""
    try:
        await waiter.future
    except PublishError:
        if waiter.lost:  # they are in the spool still
            raise
        metrics.DROPPED.labels("refused").inc(waiter.refused)


def _message(record: Spooled) -> Message | None:
    topic = TOPICS.get(record.topic)
    if topic is None:
        metrics.DROPPED.labels("unknown_topic").inc()
        _log.error("spooled_for_unknown_topic", topic=record.topic)
        return None
    return Message(topic, record.key, record.value, record.headers)
