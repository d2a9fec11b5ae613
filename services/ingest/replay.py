"""From the spool to Kafka: a few chunks at a time, in order, each remembered when Kafka has all of it."""

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

_CHUNKS_IN_FLIGHT_MAX = 4  # so that lanes have their next batch at hand when one is acknowledged
_TIMEOUT_S = 10.0  # nobody waits for these, and a batch given up too early is stored twice


class _Flying(NamedTuple):
    chunk: Chunk
    waiter: Waiter | None


class Replay:
    """One pass over the spool, through lanes that carry nothing else meanwhile."""

    def __init__(self, spool: Spool, lanes: Lanes) -> None:
        self._walk = Walk(spool)
        self._lanes = lanes
        self._flying: deque[_Flying] = deque()

    async def step(self) -> bool:
        """Send some more, or wait for some; False when Kafka has everything that is on disk by now.

        Raises PublishError when Kafka does not take it, OSError when the disk does not give it.
        """
        if len(self._flying) < _CHUNKS_IN_FLIGHT_MAX:
            chunk = await self._walk.next()
            if chunk is not None:
                self._flying.append(_Flying(chunk, self._send(chunk)))
                if len(self._flying) < _CHUNKS_IN_FLIGHT_MAX:
                    return await self.step()
        if not self._flying:
            return False
        await self._land(self._flying.popleft())
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

    async def _land(self, flying: _Flying) -> None:
        chunk, waiter = flying
        if waiter is not None:
            try:
                await waiter.future
            except PublishError:
                if waiter.lost:  # they are in the spool still
                    raise
                metrics.DROPPED.labels("refused").inc(waiter.refused)
        await self._walk.finish(chunk)
        metrics.REPLAYED.inc(len(chunk.records))


def _message(record: Spooled) -> Message | None:
    topic = TOPICS.get(record.topic)
    if topic is None:
        metrics.DROPPED.labels("unknown_topic").inc()
        _log.error("spooled_for_unknown_topic", topic=record.topic)
        return None
    return Message(topic, record.key, record.value, record.headers)
