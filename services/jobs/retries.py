"""Retry topics: each record waits here until it is due, then becomes a hint again.

One consumer a tier, so that a long wait holds up only waits of its own length. Records are read ahead into a heap
by `due_at`, since jitter takes them out of order, and an offset is committed only when everything before it fired.
"""

import asyncio
import heapq
from datetime import datetime
from typing import NamedTuple

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition

from services.jobs.consumers import bury, commit, stop
from services.jobs.publisher import Publisher
from services.jobs.records import Decoder
from shared import kafka
from shared.clock import Clock
from shared.contracts.jobs import JobHint, JobRetry
from shared.contracts.topics import RETRIES, Topic
from shared.errors import PoisonRecord
from shared.settings import KafkaSettings

_WAITING_MAX = 5_000  # a tier in memory; the rest waits in Kafka
_POLL_S = 0.5


class _Waiting(NamedTuple):
    due_at: datetime
    offset: int
    retry: JobRetry


class RetryTier:
    """One tier: a topic whose records fire at their time."""

    def __init__(
        self, config: KafkaSettings, publisher: Publisher, tier: str, *, worker: str, clock: Clock
    ) -> None:
        self._config = config
        self._publisher = publisher
        self._topic: Topic = RETRIES[tier]
        self._worker = worker
        self._clock = clock
        self._group = f"signalbox-jobs-retry-{tier}"
        self._decoder = Decoder(JobRetry)
        #: By partition: what waits, and where the next read continues.
        self._heaps: dict[TopicPartition, list[_Waiting]] = {}
        self._next: dict[TopicPartition, int] = {}

    async def run(self) -> None:
        """Fire retries until cancelled."""
        consumer = kafka.consumer(
            self._config, [self._topic], client_id=f"{self._worker}-retry", group_id=self._group
        )
        await consumer.start()
        try:
            while True:
                self._forget_except(consumer.assignment())
                batches = await self._poll(consumer)
                for partition, records in batches.items():
                    for record in records:
                        await self._keep(partition, record)
                if await self._fire() or batches:
                    await commit(consumer, self._committable())
        finally:
            await stop(consumer)

    async def _poll(self, consumer: AIOKafkaConsumer) -> dict[TopicPartition, list[ConsumerRecord]]:
        """What arrives until the next retry is due, while there is room for it."""
        room = _WAITING_MAX - sum(len(heap) for heap in self._heaps.values())
        if room == 0:
            await asyncio.sleep(self._pause_s())
            return {}
        batches: dict[TopicPartition, list[ConsumerRecord]] = await consumer.getmany(
            timeout_ms=int(self._pause_s() * 1000), max_records=room
        )
        return batches

    def _pause_s(self) -> float:
        """Until the next one is due, or a poll's length."""
        firsts = [heap[0].due_at for heap in self._heaps.values() if heap]
        if not firsts:
            return _POLL_S
        return min(_POLL_S, max(0.0, (min(firsts) - self._clock.now()).total_seconds()))

    async def _keep(self, partition: TopicPartition, record: ConsumerRecord) -> None:
        self._next[partition] = record.offset + 1
        try:
            retry = self._decoder.decode(record.value)
        except PoisonRecord as poison:
            await bury(self._publisher, record, poison)
            return
        heapq.heappush(self._heaps.setdefault(partition, []), _Waiting(retry.due_at, record.offset, retry))

    async def _fire(self) -> bool:
        """Hint at everything that is due; True when there was something."""
        now = self._clock.now()
        hints = []
        for heap in self._heaps.values():
            while heap and heap[0].due_at <= now:
                retry = heapq.heappop(heap).retry
                hints.append(JobHint(id=retry.id, type=retry.type, priority=retry.priority))
        await self._publisher.hint(hints)
        return bool(hints)

    def _committable(self) -> dict[TopicPartition, int]:
        """By partition, the lowest offset that has not fired, or where the next read continues."""
        return {
            partition: min((waiting.offset for waiting in self._heaps.get(partition, [])), default=position)
            for partition, position in self._next.items()
        }

    def _forget_except(self, assigned: set[TopicPartition]) -> None:
        """Drop what a rebalance gave to somebody else: they read it again from the committed offset."""
        for partition in set(self._next) - assigned:
            self._next.pop(partition, None)
            self._heaps.pop(partition, None)
