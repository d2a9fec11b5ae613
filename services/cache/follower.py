"""The reader of invalidations: each replica reads every record, with a consumer of its own.

Redis knows up to where all invalidations are applied there, so a replica that starts reads on from that place:
entries outlive replicas, and what was said while no replica ran must reach them too. Where records are missing,
everything is forgotten instead.
"""

import asyncio
from contextlib import suppress
from typing import Any

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.cache import metrics
from services.cache.backend import Backend, Claim, Position
from services.cache.cache import Cache
from services.cache.invalidation import decode
from services.cache.publisher import Publisher
from services.cache.settings import CacheSettings
from shared import kafka, logs
from shared.contracts.dead_letter import Origin
from shared.contracts.topics import INVALIDATIONS
from shared.errors import PoisonRecord, Retryable

_log = logs.get(__name__)

#: How long one poll waits for records. They are handed over when they come; this is only how often a consumer
#: that fails in the background is looked at.
_POLL_MS = 1_000
_RESTART_DELAY_S = 1.0
_STOP_TIMEOUT_S = 5.0
#: How long a replica may take to write a dead letter before another one does.
_CLAIM_S = 10.0
_CLAIM_POLL_S = 0.1


class Follower:
    """Applies every invalidation to this replica, and those first read here to Redis."""

    def __init__(self, settings: CacheSettings, cache: Cache, backend: Backend, publisher: Publisher) -> None:
        self._settings = settings
        self._cache = cache
        self._backend = backend
        self._publisher = publisher
        #: The next offset of each partition.
        self._next: dict[int, int] = {}
        #: Invalidations applied.
        self.applied = 0
        #: Set once everything is applied that was on the topic when this replica started: what Redis holds is
        #: true from then on.
        self.caught_up = asyncio.Event()

    @property
    def positions(self) -> dict[int, int]:
        """The next offset to read, by partition."""
        return dict(self._next)

    async def run(self) -> None:
        """Follow the topic until cancelled. A consumer that loses Kafka is replaced; a defect is raised."""
        while True:
            try:
                await self._follow()
            except (KafkaError, Retryable, TimeoutError) as error:
                metrics.CONSUMER_RESTARTS.inc()
                _log.warning("consumer_lost", error=f"{type(error).__name__}: {error}")
            await asyncio.sleep(_RESTART_DELAY_S)

    async def _follow(self) -> None:
        consumer = kafka.consumer(
            self._settings,
            [INVALIDATIONS],
            client_id=f"signalbox-cache-{self._settings.cache_replica_name}",
            group_id=None,
        )
        try:
            await consumer.start()
            ends = await self._stand(consumer)
            while True:
                if not self.caught_up.is_set():
                    positions = {p: await consumer.position(p) for p in ends}
                    if all(positions[p] >= end for p, end in ends.items()):
                        self.caught_up.set()
                for records in (await consumer.getmany(timeout_ms=_POLL_MS)).values():
                    for record in records:
                        await self._take(consumer, record)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(_STOP_TIMEOUT_S):
                    await consumer.stop()

    async def _stand(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, int]:
        """Seek to where this replica was, or to where Redis is, or else forget everything and seek to the end.

        Returns where the topic ends now.
        """
        partitions = consumer.assignment()
        begins = await consumer.beginning_offsets(partitions)
        ends = await consumer.end_offsets(partitions)
        known = self._next or await self._backend.positions()
        if all(begins[p] <= known.get(p.partition, -1) <= ends[p] for p in partitions):
            start = {p.partition: known[p.partition] for p in partitions}
        else:
            start = {p.partition: ends[p] for p in partitions}
            if known:
                _log.warning("invalidations_missed", known=known, start=start)
                metrics.INVALIDATIONS_MISSED.inc()
            await self._cache.forget_everything(start)
        for partition in partitions:
            consumer.seek(partition, start[partition.partition])
        self._next = start
        _log.info("following", topic=INVALIDATIONS.name, positions=start)
        return dict(ends)

    async def _take(self, consumer: AIOKafkaConsumer, record: "ConsumerRecord[Any, Any]") -> None:
        expected = self._next.get(record.partition, record.offset)
        if record.offset > expected:
            await self._look_for_loss(consumer, record, expected)
        after = Position(record.partition, record.offset + 1)
        try:
            invalidation = decode(record.value)
        except PoisonRecord as poison:
            await self._bury(record, poison)
            await self._cache.pass_over(after)
        else:
            await self._cache.apply(invalidation, after)
            self.applied += 1
            metrics.INVALIDATIONS_APPLIED.inc()
        self._next[record.partition] = after.offset

    async def _look_for_loss(
        self, consumer: AIOKafkaConsumer, record: "ConsumerRecord[Any, Any]", expected: int
    ) -> None:
        """Transactions leave gaps that mean nothing; records that were deleted before they were read do."""
        partition = TopicPartition(record.topic, record.partition)
        begin = (await consumer.beginning_offsets([partition]))[partition]
        if begin > expected:
            _log.warning("invalidations_missed", expected=expected, found=record.offset)
            metrics.INVALIDATIONS_MISSED.inc()
            await self._cache.forget_everything({**self._next, record.partition: record.offset})

    async def _bury(self, record: "ConsumerRecord[Any, Any]", poison: PoisonRecord) -> None:
        """One dead letter for one record, although every replica reads it. Raises PublishError."""
        task = f"dead:{record.topic}:{record.partition}:{record.offset}"
        while True:
            claim = await self._backend.claim(task, seconds=_CLAIM_S)
            if claim is Claim.DONE:
                return
            if claim is Claim.OURS:
                break
            await asyncio.sleep(_CLAIM_POLL_S)
        await self._publisher.bury(
            Origin(record.topic, record.partition, record.offset, record.timestamp),
            key=record.key,
            value=record.value,
            original=list(record.headers),
            poison=poison,
        )
        await self._backend.done(task)
