"""The Kafka producers of a process: connected together, replaced one at a time, given up all at once.

aiokafka has one request to a broker in flight for each producer; two or three of them overlap their round trips.
It has no way to withdraw a batch, so a batch that was given up may be stored nevertheless, and once more later:
duplicates are removed downstream, by event id.
"""

import asyncio
from asyncio import Task
from collections.abc import Sequence
from itertools import chain

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.ingest import metrics
from shared import kafka, logs
from shared.contracts.topics import Topic
from shared.errors import Retryable
from shared.settings import KafkaSettings

_log = logs.get(__name__)

_CONNECT_TIMEOUT_S = 15.0  # longer than one attempt that Kafka does not answer (`kafka_request_timeout_ms`)
_GRACE_S = 1.0  # for a producer to stop by itself, and for cancelled tasks to end


class Producers:
    """`count` producers, none before `connect`."""

    def __init__(
        self, config: KafkaSettings, topics: Sequence[Topic], *, count: int, compression: str | None
    ) -> None:
        self._config = config
        self._topics = topics
        self._count = count
        self._compression = compression
        self._connected: list[AIOKafkaProducer] = []
        self._retiring: set[Task[None]] = set()

    def __getitem__(self, lane: int) -> AIOKafkaProducer:
        """The producer of a lane: always the same one, so that its batches keep their order."""
        return self._connected[lane % self._count]

    async def connect(self) -> dict[str, int]:
        """Connect new ones, in place of those there are; the topics' numbers of partitions. Raises Retryable."""
        self.abandon()
        connected: list[AIOKafkaProducer] = []
        try:
            for _ in range(self._count):
                connected.append(await self._connect())
            partitions = {t.name: len(await connected[0].partitions_for(t.name)) for t in self._topics}
        except BaseException as error:
            for producer in connected:
                self._retire(producer, wait_s=0)
            if isinstance(error, KafkaError):
                raise Retryable(repr(error)) from error
            raise
        self._connected = connected
        return partitions

    async def replace(self, lane: int) -> None:
        """Replace the producer of a lane after Kafka refused one of its batches for good. Raises Retryable.

        aiokafka numbers the batches of an idempotent producer and cannot start a new epoch: the refused batch left a
        gap in its partition's numbers, and all that follows would be refused as out of order. Batches of other
        partitions are acknowledged as usual, which the old producer gets its time for.
        """
        old = self[lane]
        new = await self._connect()
        if old not in self._connected:  # meanwhile they were all given up
            self._retire(new, wait_s=0)
            raise Retryable("the producers were given up")
        self._connected[self._connected.index(old)] = new
        metrics.PRODUCERS_REPLACED.inc()
        self._retire(old, wait_s=_CONNECT_TIMEOUT_S)

    def abandon(self) -> None:
        """Give all of them up, with whatever they have not delivered."""
        for producer in self._connected:
            self._retire(producer, wait_s=0)
        self._connected = []

    async def answers(self) -> bool:
        """Whether Kafka answers the first of them."""
        return bool(self._connected and await self._connected[0].client.force_metadata_update())

    async def close(self) -> None:
        """Stop all of them, and wait for it."""
        for producer in self._connected:
            self._retire(producer, wait_s=_GRACE_S)
        self._connected = []
        while self._retiring:
            await asyncio.gather(*self._retiring)

    async def _connect(self) -> AIOKafkaProducer:
        producer = kafka.producer(self._config, client_id="signalbox-ingest", compression=self._compression)
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await producer.start()
                for topic in self._topics:  # else the first request of each pays for looking it up
                    await producer.partitions_for(topic.name)
        except (KafkaError, OSError, TimeoutError) as error:
            self._retire(producer, wait_s=0)
            raise Retryable(f"Kafka at {self._config.kafka_bootstrap_servers}: {error!r}") from error
        except BaseException:
            self._retire(producer, wait_s=0)
            raise
        return producer

    def _retire(self, producer: AIOKafkaProducer, *, wait_s: float) -> None:
        task = asyncio.create_task(_stop(producer, wait_s))
        self._retiring.add(task)
        task.add_done_callback(self._retiring.discard)


async def _stop(producer: AIOKafkaProducer, wait_s: float) -> None:
    """Stop a producer, which waits for its batches; while Kafka is away it would wait for ever.

    aiokafka has no way to give batches up, hence the look into its parts: fail what waits, end its tasks.
    """
    sender = producer._sender.sender_task
    if wait_s > 0 or sender is None:
        try:
            async with asyncio.timeout(wait_s or _GRACE_S):
                await producer.stop()
            return
        except TimeoutError:
            _log.warning("producer_abandoned", after_s=wait_s)
    if sender is not None:
        # aiokafka 0.14 does the same when its sender ends, and then trips over a transaction that we do not have.
        sender.remove_done_callback(producer._sender._fail_all)
        _fail_batches(producer)
        sender.cancel()
    producer._closed = True  # else it complains that nobody stopped it
    await producer.client.close()
    if sender is not None:
        ended, _ = await asyncio.wait([sender], timeout=_GRACE_S)
        await asyncio.gather(*ended, return_exceptions=True)  # it misses the batches that were failed


def _fail_batches(producer: AIOKafkaProducer) -> None:
    """Tell whoever still waits for a batch; most have stopped waiting, so the errors count as seen."""
    accumulator = producer._message_accumulator
    batches = [*accumulator._pending_batches, *chain.from_iterable(accumulator._batches.values())]
    accumulator.fail_all(KafkaError("The producer was given up."))
    for batch in batches:
        for future in (batch.future, batch._drain_waiter):
            if future.done() and not future.cancelled():
                future.exception()
