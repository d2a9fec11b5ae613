"""Lanes: what goes to one partition shares batches, and one acknowledgement answers everybody in a batch.

A lane has one batch in flight. Whatever comes meanwhile waits and forms the next one, so batches grow with the load
and nothing waits for a timer. Records of one key are in one lane, and lanes keep their order.
"""

import asyncio
from asyncio import Future, Task
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import NamedTuple

from aiokafka import TopicPartition
from aiokafka.client import AIOKafkaClient
from aiokafka.errors import (
    CorruptRecordException,
    InvalidTimestampError,
    KafkaConnectionError,
    KafkaError,
    MessageSizeTooLargeError,
    RecordListTooLargeError,
)
from aiokafka.producer.message_accumulator import BatchBuilder

from services.ingest import metrics
from services.ingest.partition import partition_of
from services.ingest.producers import Producers
from services.ingest.record import Durability, Message
from shared import logs
from shared.errors import PublishError, Retryable

_log = logs.get(__name__)

_SUSPICIOUS_S = 0.2  # a batch that takes longer may have lost its broker

#: What a broker says of a record that it will never take; everything else may change, and the record is kept.
_REFUSALS = (
    MessageSizeTooLargeError,
    RecordListTooLargeError,
    CorruptRecordException,
    InvalidTimestampError,
)


class Waiter:
    """Who waits for a number of records; its future ends when all of them are settled."""

    def __init__(self, pending: int, timeout_s: float) -> None:
        self.future: Future[Durability] = asyncio.get_running_loop().create_future()
        #: How long Kafka has for a batch, counted from when it is sent.
        self.timeout_s = timeout_s
        #: They are in the spool already, and stay there when Kafka does not take them.
        self.is_spooled = False
        #: Records that are nowhere, because there was no room for them.
        self.lost = 0
        #: Records that Kafka will never take.
        self.refused = 0
        self._pending = pending
        self._durability = Durability.KAFKA
        self._error: PublishError | None = None
        if not pending:
            self.future.set_result(self._durability)

    def settle(self, durability: Durability, records: int = 1) -> None:
        """Some of its records are safe."""
        if durability is Durability.SPOOL:
            self._durability = durability
        self._settle(records)

    def lose(self, topic: str, error: Exception, records: int = 1) -> None:
        """Some of its records could be stored nowhere."""
        self.lost += records
        self._error = PublishError(topic, str(error))
        self._settle(records)

    def refuse(self, topic: str, error: Exception) -> None:
        """Kafka will never take one of its records."""
        self.refused += 1
        self._error = PublishError(topic, repr(error))
        self._settle(1)

    def _settle(self, records: int) -> None:
        self._pending -= records
        if self._pending == 0 and not self.future.done():  # its request may have been cancelled
            if self._error is None:
                self.future.set_result(self._durability)
            else:
                self.future.set_exception(self._error)
                self.future.exception()  # a replay that was given up does not ask


class Entry(NamedTuple):
    """A record in a lane."""

    message: Message
    waiter: Waiter
    #: Milliseconds since 1970; None for the time at which it is sent.
    timestamp_ms: int | None = None


class Lane:
    """The way to one partition. `failed` is called when Kafka did not take a batch in time."""

    def __init__(
        self,
        number: int,
        topic: str,
        partition: int,
        producers: Producers,
        failed: Callable[[Exception], None],
    ) -> None:
        self._number = number
        self._topic = topic
        self._partition = partition
        self._producers = producers
        self._failed = failed
        self._queue: deque[Entry] = deque()
        self._batch: list[Entry] = []
        self._task: Task[None] | None = None
        #: So many entries are sent one by one, to find those that Kafka refuses.
        self._alone = 0

    def add(self, entry: Entry) -> None:
        """Send it as soon as nothing of this lane is in flight."""
        self._queue.append(entry)
        if self._task is None:
            self._task = asyncio.create_task(self._run())

    def take_all(self) -> list[Entry]:
        """Take out everything that is not acknowledged, in order. What is in flight may be stored nevertheless."""
        entries = [*self._batch, *self._queue]
        self._batch = []
        self._queue.clear()
        self._alone = 0
        if self._task is not None and self._task is not asyncio.current_task():
            self._task.cancel()
        self._task = None
        return entries

    @property
    def task(self) -> Task[None] | None:
        """What sends; None when there is nothing to send."""
        return self._task

    async def _run(self) -> None:
        try:
            while self._queue:
                builder = self._fill()
                try:
                    await self._send(builder)
                except _REFUSALS as error:
                    await self._refused(error)
        except (KafkaError, TimeoutError, Retryable) as error:
            cause = "timeout" if isinstance(error, TimeoutError) else "refused"
            metrics.PUBLISH_FAILURES.labels(cause).inc()
            self._failed(error)
        except Exception as error:  # noqa: BLE001 - the edge of a task: whatever it is, records are kept
            _log.exception("lane_failed", topic=self._topic, partition=self._partition)
            metrics.PUBLISH_FAILURES.labels("defect").inc()
            self._failed(error)
        else:
            self._task = None

    def _fill(self) -> BatchBuilder:
        builder = self._producers[self._number].create_batch()
        room = 1 if self._alone else len(self._queue)
        while room:
            message, _, timestamp_ms = entry = self._queue[0]
            added = builder.append(
                timestamp=timestamp_ms, key=message.key, value=message.value, headers=message.headers
            )
            if added is None:  # the batch is full
                break
            self._batch.append(entry)
            self._queue.popleft()
            room -= 1
        return builder

    async def _send(self, builder: BatchBuilder) -> None:
        producer = self._producers[self._number]
        async with asyncio.timeout(self._batch[-1].waiter.timeout_s):
            acknowledged = await producer.send_batch(builder, self._topic, partition=self._partition)
            try:
                await asyncio.wait([acknowledged], timeout=_SUSPICIOUS_S)
                if not acknowledged.done():
                    await self._require_leader(producer.client)
                await acknowledged
            finally:
                acknowledged.cancel()  # whatever comes now, nobody asks for it
        batch, self._batch = self._batch, []
        self._alone = max(0, self._alone - len(batch))
        for entry in batch:
            entry.waiter.settle(Durability.KAFKA)

    async def _require_leader(self, client: AIOKafkaClient) -> None:
        """Return when the partition's broker is connected, though it may be slow. Raises KafkaConnectionError.

        aiokafka would go on connecting until our deadline, and requests would wait for it.
        """
        leader = client.cluster.leader_for_partition(TopicPartition(self._topic, self._partition))
        if leader is None or leader < 0 or not await client.ready(leader):
            raise KafkaConnectionError(f"no connection to the leader of {self._topic}/{self._partition}")

    async def _refused(self, error: KafkaError) -> None:
        await self._producers.replace(self._number)
        batch, self._batch = self._batch, []
        if len(batch) == 1:
            self._alone = max(0, self._alone - 1)
            _log.error("record_refused", topic=self._topic, bytes=batch[0].message.size(), error=repr(error))
            batch[0].waiter.refuse(self._topic, error)
        else:
            self._alone = len(batch)
            self._queue.extendleft(reversed(batch))


class Lanes:
    """A lane for each partition of each topic; none before `build`."""

    def __init__(self, producers: Producers, failed: Callable[[Exception], None]) -> None:
        self._producers = producers
        self._failed = failed
        self._by_topic: dict[str, list[Lane]] = {}

    def build(self, partitions: Mapping[str, int]) -> None:
        """Lay them out anew; there must be nothing in them."""
        numbers = iter(range(sum(partitions.values())))
        self._by_topic = {
            topic: [Lane(next(numbers), topic, n, self._producers, self._failed) for n in range(count)]
            for topic, count in partitions.items()
        }

    def add(self, entry: Entry) -> None:
        """Add a record to its key's lane. Raises KeyError for a topic that is not written here."""
        lanes = self._by_topic[entry.message.topic.name]
        lanes[partition_of(entry.message.key, len(lanes))].add(entry)

    def take_all(self) -> list[Entry]:
        """See `Lane.take_all`."""
        return [entry for lane in self._all() for entry in lane.take_all()]

    @property
    def are_busy(self) -> bool:
        return any(lane.task is not None for lane in self._all())

    async def flushed(self) -> None:
        """Return when everything has been sent, or was given up."""
        while tasks := [lane.task for lane in self._all() if lane.task is not None]:
            await asyncio.wait(tasks)

    def _all(self) -> Iterator[Lane]:
        return (lane for lanes in self._by_topic.values() for lane in lanes)
