"""Kafka as its other users see it: put bytes on a topic, read what is there."""

import asyncio
from collections.abc import Callable, Sequence

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, ConsumerRecord, TopicPartition

from shared.contracts.topics import Topic
from tests.support.waiting import WITHIN_S


async def put(bootstrap: str, topic: Topic, values: Sequence[bytes], *, key: bytes | None = None) -> None:
    """Produce raw bytes, each acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_request_size=2**21) as producer:
        for value in values:
            await producer.send_and_wait(topic.name, value, key)


async def put_many(bootstrap: str, topic: Topic, values: Sequence[bytes]) -> None:
    """Produce many records over all partitions, without waiting for each; returns when all are acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", max_batch_size=262_144) as producer:
        sent = [await producer.send(topic.name, value) for value in values]
        await asyncio.gather(*sent)


async def find(
    bootstrap: str,
    topic: Topic,
    wanted: Callable[[ConsumerRecord], bool],
    *,
    count: int = 1,
    within_s: float = WITHIN_S,
) -> list[ConsumerRecord]:
    """Read a topic from its start until `count` records are wanted ones; fails after `within_s`."""
    found: list[ConsumerRecord] = []
    async with AIOKafkaConsumer(
        bootstrap_servers=bootstrap, enable_auto_commit=False, max_partition_fetch_bytes=2**22
    ) as consumer:
        consumer.assign([TopicPartition(topic.name, number) for number in range(topic.partitions)])
        await consumer.seek_to_beginning()
        try:
            async with asyncio.timeout(within_s):
                while len(found) < count:
                    for records in (await consumer.getmany(timeout_ms=200)).values():
                        found.extend(record for record in records if wanted(record))
        except TimeoutError:
            raise AssertionError(
                f"{len(found)} of {count} records on {topic.name} within {within_s:g} s"
            ) from None
    return found
