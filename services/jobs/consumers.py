"""What the consumers that are not Faust's have in common: dead letters, commits, and a stop within bounds."""

import asyncio
from collections.abc import Mapping

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from aiokafka.errors import KafkaError

from services.jobs.publisher import Publisher
from services.jobs.records import Record
from shared import logs
from shared.contracts.dead_letter import Origin
from shared.errors import PoisonRecord, PublishError

_log = logs.get(__name__)

_PAUSE_S = 0.5
_STOP_TIMEOUT_S = 3.0


async def bury(publisher: Publisher, record: ConsumerRecord, poison: PoisonRecord) -> None:
    """Send a record of a raw consumer to the dead letters; waits while Kafka is away."""
    origin = Origin(record.topic, record.partition, record.offset, record.timestamp)
    dead = Record(record.key, record.value, list(record.headers), origin, ack=lambda: None)
    while True:
        try:
            return await publisher.bury(dead, poison)
        except PublishError as error:
            _log.warning("dead_letter_waits", error=str(error))
        await asyncio.sleep(_PAUSE_S)


async def commit(consumer: AIOKafkaConsumer, offsets: Mapping[TopicPartition, int] | None = None) -> None:
    """Remember how far was read. When that fails, after a rebalance or while Kafka is away, hints come twice, which
    is harmless: only one of them can claim."""
    try:
        await consumer.commit(offsets)
    except KafkaError as error:
        _log.warning("offsets_not_committed", error=repr(error))


async def stop(consumer: AIOKafkaConsumer) -> None:
    """Leave the group; while Kafka is away, do not wait for its answer."""
    try:
        async with asyncio.timeout(_STOP_TIMEOUT_S):
            await consumer.stop()
    except TimeoutError:
        _log.warning("consumer_abandoned", after_s=_STOP_TIMEOUT_S)
