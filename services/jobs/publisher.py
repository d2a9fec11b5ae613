"""Producing records from the jobs service: an acknowledgement within a deadline, or PublishError."""

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError
from aiokafka.record.default_records import DefaultRecordBatchBuilder

from services.jobs import metrics
from services.jobs.records import Record
from shared import logs
from shared.contracts import dead_letter, headers
from shared.contracts.jobs import JobHint, JobRetry, lane_of
from shared.contracts.topics import DISPATCH, RECORD_BYTES_MAX, RETRIES, RETRY_TIERS_S, TOPICS, Topic
from shared.errors import PoisonRecord, PublishError
from shared.ids import new_id

_log = logs.get(__name__)

PUBLISH_TIMEOUT_S = 10.0  # as long as one produce request may take: by then it failed, or Kafka is away
_SERVICE = "jobs"


class Message(NamedTuple):
    """A record to be."""

    topic: Topic
    key: bytes | None
    value: bytes | None
    headers: headers.Headers

    def fits(self) -> bool:
        """Whether the broker takes a record of this size on its topic."""
        size: int = DefaultRecordBatchBuilder.estimate_size_in_bytes(self.key, self.value, self.headers)
        return size <= self.topic.record_bytes_max


class Publisher:
    """Sends records; returning from a method means that every in-sync replica has them."""

    def __init__(self, producer: AIOKafkaProducer) -> None:
        self._producer = producer

    async def publish(self, messages: Sequence[Message]) -> None:
        """Send records, those of one partition in order. Raises PublishError: some may have been stored."""
        if not messages:
            return
        try:
            async with asyncio.timeout(PUBLISH_TIMEOUT_S):
                sent = [
                    await self._producer.send(m.topic.name, m.value, m.key, headers=m.headers)
                    for m in messages
                ]
                await asyncio.gather(*sent)
        except (KafkaError, TimeoutError) as error:
            raise PublishError(messages[0].topic.name, f"{type(error).__name__}: {error}") from error

    async def ping(self) -> None:
        """A readiness check: Kafka answers a metadata request."""
        await self._producer.client.fetch_all_metadata()

    async def hint(self, hints: Sequence[JobHint]) -> None:
        """Tell the lanes that jobs can be claimed. A failure is logged, not raised: the sweeper hints again."""
        messages = [
            message(
                DISPATCH[lane_of(hint.priority)],
                key=hint.id,
                id=new_id(),
                payload=hint,
            )
            for hint in hints
        ]
        try:
            await self.publish(messages)
        except PublishError as error:
            _log.warning("hints_not_sent", hints=len(hints), error=str(error))

    async def retry(self, retry: JobRetry, *, delay_s: float) -> None:
        """Send a retry through the topic of its tier. A failure is logged: the sweeper hints when it is due."""
        topic = RETRIES[tier_of(delay_s)]
        try:
            await self.publish([message(topic, key=retry.id, id=new_id(), payload=retry)])
        except PublishError as error:
            _log.warning("retry_not_sent", job=retry.id, error=str(error))

    async def bury(self, record: Record, poison: PoisonRecord) -> None:
        """Send a record that cannot be processed to its topic's dead letters, bytes untouched. Raises PublishError.

        Only one that is larger than its own topic should have let through is cut, and a header says so: it must not
        hold up whatever comes after it.
        """
        origin = TOPICS[record.origin.topic]
        assert origin.dead_letter is not None, "every topic that is read has a dead letter"
        dead = Message(
            TOPICS[origin.dead_letter],
            record.key,
            record.value,
            dead_letter.headers(
                record.headers,
                origin=record.origin,
                reason=poison.reason,
                detail=poison.detail,
                service=_SERVICE,
            ),
        )
        if not dead.fits():
            dead = _cut(dead)
        await self.publish([dead])
        metrics.RECORDS_DEAD.labels(origin.name, poison.reason).inc()
        _log.warning("record_buried", **record.origin._asdict(), reason=poison.reason, detail=poison.detail)


def _cut(dead: Message) -> Message:
    """The dead letter without its original headers, and with the first half of a record's bytes."""
    ours = [(name, value) for name, value in dead.headers if name.startswith("dead_letter_")]
    size = len(dead.value or b"")
    value = (dead.value or b"")[: RECORD_BYTES_MAX // 2]
    key = (dead.key or b"")[:1_000]
    return Message(dead.topic, key, value, [*ours, ("dead_letter_cut_from_bytes", str(size).encode())])


def message(topic: Topic, *, key: str, id: str, payload: object) -> Message:
    """A record of one of our own payloads."""
    return Message(
        topic,
        key.encode(),
        msgspec.json.encode(payload),
        headers.encode(id=id, type=topic.type, schema=topic.schema, source=_SERVICE),
    )


def tier_of(delay_s: float) -> str:
    """The longest retry tier that is not longer than the delay, or the shortest one."""
    fitting = [tier for tier, tier_s in RETRY_TIERS_S.items() if tier_s <= delay_s]
    return max(
        fitting, key=RETRY_TIERS_S.__getitem__, default=min(RETRY_TIERS_S, key=RETRY_TIERS_S.__getitem__)
    )
