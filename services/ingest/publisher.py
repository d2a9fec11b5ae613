"""To Kafka: records go out, and a request is answered when every in-sync replica has all of its own."""

import asyncio
import time
from asyncio import Future, Task
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.ingest import metrics
from shared import kafka, logs
from shared.contracts.headers import Headers
from shared.contracts.topics import Topic
from shared.errors import PublishError, Retryable
from shared.settings import KafkaSettings

_log = logs.get(__name__)

_CONNECT_TIMEOUT_S = 15.0  # longer than one attempt that Kafka does not answer (`kafka_request_timeout_ms`)
_GRACE_S = 1.0  # for a producer to stop by itself, and for cancelled tasks to end


class Message(NamedTuple):
    """A record on its way to Kafka."""

    topic: Topic
    key: bytes
    value: bytes
    headers: Headers

    def size(self) -> int:
        """Its bytes on Kafka at most, framing and all: what the producer and the broker compare with their limits."""
        return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(self.key, self.value, self.headers))


class Publisher(Protocol):
    """Where messages go. Tests have one that remembers them."""

    async def publish(self, messages: Sequence[Message]) -> None:
        """Hand over the messages; returning means every in-sync replica has every one of them.

        Messages with one key keep their order. Raises PublishError when one of them was not acknowledged in time;
        it, and others, may have been stored nevertheless, and publishing them again may store them twice.
        Whoever stores them removes duplicates by id.
        """

    async def check(self) -> None:
        """Return when Kafka answers. Raises Retryable."""


class KafkaPublisher:
    """Publishes with one producer, and replaces it when it is broken for good.

    aiokafka numbers the batches of an idempotent producer and has no way to start a new epoch: after a broker has
    refused a batch for good, that partition's numbers have a gap, and everything sent after it is refused as out of
    order. A producer that lost its sender task sends nothing at all. Both need a new one, with a new producer id.
    """

    def __init__(self, config: KafkaSettings, topics: Sequence[Topic], *, timeout_s: float) -> None:
        self._config = config
        self._topics = topics
        self._timeout_s = timeout_s
        self._producer: AIOKafkaProducer | None = None
        #: The one that has had a batch refused for good; requests under way may still hold an older one.
        self._broken: AIOKafkaProducer | None = None
        self._replacing = asyncio.Lock()
        self._retiring: set[Task[None]] = set()

    async def start(self) -> None:
        """Connect, and learn where the topics' partitions are. Raises Retryable while Kafka cannot be reached."""
        self._producer = await self._connect()

    async def stop(self) -> None:
        """Disconnect. Every request is answered by now, so nobody waits for what is still under way."""
        if self._producer is not None:
            await self._retire(self._producer)
        await asyncio.gather(*self._retiring)

    async def publish(self, messages: Sequence[Message]) -> None:
        """See `Publisher.publish`; "in time" is `timeout_s`, for all of them together."""
        topic = messages[0].topic.name
        started = time.perf_counter()
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._send(await self._usable(), messages)
        except TimeoutError as error:
            metrics.PUBLISH_FAILURES.labels("timeout").inc()
            _log.warning("publish_timed_out", topic=topic, records=len(messages))
            raise PublishError(topic, f"no answer within {self._timeout_s:g} s") from error
        except (KafkaError, Retryable) as error:
            metrics.PUBLISH_FAILURES.labels("refused").inc()
            _log.warning("publish_failed", topic=topic, records=len(messages), error=repr(error))
            raise PublishError(topic, repr(error)) from error
        finally:
            metrics.PUBLISH_DURATION.observe(time.perf_counter() - started)

    async def check(self) -> None:
        """See `Publisher.check`; it also replaces a broken producer, so that idle replicas heal too."""
        producer = await self._usable()
        if not await producer.client.force_metadata_update():
            raise Retryable("Kafka does not answer")

    async def _send(self, producer: AIOKafkaProducer, messages: Sequence[Message]) -> None:
        acknowledged: list[Future[Any]] = []
        try:
            for topic, key, value, headers in messages:  # in turn: none may overtake one that waits for room
                acknowledged.append(await producer.send(topic.name, value, key=key, headers=headers))
        except BaseException:
            for future in acknowledged:
                future.cancel()  # the record is sent all the same, and nobody asks for the outcome
            raise
        try:
            await asyncio.gather(*acknowledged)
        except KafkaError as error:
            if not error.retriable:
                self._broken = producer
            raise

    async def _usable(self) -> AIOKafkaProducer:
        assert self._producer is not None, "start() comes first"
        if not self._is_broken(self._producer):
            return self._producer
        async with self._replacing:
            if self._is_broken(self._producer):
                await self._replace(self._producer)
        return self._producer

    def _is_broken(self, producer: AIOKafkaProducer) -> bool:
        return producer is self._broken or producer._sender.sender_task.done()

    async def _replace(self, old: AIOKafkaProducer) -> None:
        self._producer = await self._connect()
        metrics.PRODUCERS_REPLACED.inc()
        _log.warning("producer_replaced")
        retiring = asyncio.create_task(self._retire(old, wait_s=self._timeout_s))
        self._retiring.add(retiring)
        retiring.add_done_callback(self._retiring.discard)

    async def _connect(self) -> AIOKafkaProducer:
        producer = kafka.producer(self._config, client_id="signalbox-ingest")
        try:
            async with asyncio.timeout(_CONNECT_TIMEOUT_S):
                await producer.start()
                for topic in self._topics:  # else the first request of each pays for looking it up
                    await producer.partitions_for(topic.name)
        except (KafkaError, OSError, TimeoutError) as error:
            await self._retire(producer)
            raise Retryable(f"Kafka at {self._config.kafka_bootstrap_servers}: {error!r}") from error
        except BaseException:
            await self._retire(producer)
            raise
        return producer

    async def _retire(self, producer: AIOKafkaProducer, *, wait_s: float = _GRACE_S) -> None:
        """Stop a producer, which waits for its batches; while Kafka is away it would wait for ever.

        aiokafka has no way to give batches up, hence the look into its parts: fail what waits, end its tasks.
        """
        try:
            async with asyncio.timeout(wait_s):
                await producer.stop()
        except TimeoutError:
            _log.warning("producer_abandoned", after_s=wait_s)
            sender = producer._sender.sender_task
            # aiokafka 0.14 does the same when its sender ends, and then trips over a transaction that we do not have.
            sender.remove_done_callback(producer._sender._fail_all)
            producer._message_accumulator.fail_all(KafkaError("The producer was given up."))
            sender.cancel()
            await producer.client.close()
            ended, _ = await asyncio.wait([sender], timeout=_GRACE_S)
            await asyncio.gather(*ended, return_exceptions=True)  # it misses the batches that were failed
