"""The publisher between Kafka and the spool, on real Kafka: what it answers, what it drops, and what it replays."""

import asyncio
import re
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from prometheus_client import REGISTRY

from services.ingest.publisher import Durability, DurablePublisher, Message
from services.ingest.spool import Spool, Spooled
from shared.contracts.topics import PAGE_VIEWS, Topic
from shared.errors import PublishError, Retryable
from shared.settings import KafkaSettings
from tests.support import kafka
from tests.support.stacks import RunningStack, free_ports
from tests.support.waiting import eventually

ROOMY = 10_000_000


@pytest.fixture
def bootstrap(stack: RunningStack) -> str:
    return stack.environment["KAFKA_BOOTSTRAP_SERVERS"]


@asynccontextmanager
async def publishing(
    bootstrap: str,
    folder: Path,
    *,
    topic: Topic = PAGE_VIEWS,
    bytes_max: int = ROOMY,
    idempotence: bool = True,
    within_s: float = 10,
) -> AsyncIterator[DurablePublisher]:
    publisher = DurablePublisher(
        KafkaSettings.model_validate(
            {"KAFKA_BOOTSTRAP_SERVERS": bootstrap, "kafka_idempotence": idempotence}
        ),
        [topic],
        Spool(folder, bytes_max=bytes_max),
        timeout_s=5,
        compression=None,
    )
    await publisher.start(within_s=within_s)
    try:
        yield publisher
    finally:
        await publisher.stop()


def nowhere() -> str:
    """An address at which no Kafka is."""
    return f"127.0.0.1:{free_ports(1)[0]}"


def message(key: str, number: int = 0, *, size: int = 0, topic: Topic = PAGE_VIEWS) -> Message:
    return Message(topic, key.encode(), b"%d" % number + b"." * size, [])


def dropped(reason: str) -> float:
    return REGISTRY.get_sample_value("signalbox_ingest_dropped_total", {"reason": reason}) or 0


async def test_without_kafka_records_are_spooled_and_the_next_process_sends_them_in_order(
    stack: RunningStack, bootstrap: str, tmp_path: Path
) -> None:
    keys = [str(uuid.uuid4()) for _ in range(5)]
    idempotence = stack.apache_kafka
    async with publishing(nowhere(), tmp_path, within_s=0, idempotence=idempotence) as publisher:
        for number in range(100):
            assert await publisher.publish([message(key, number) for key in keys]) is Durability.SPOOL
        assert re.fullmatch("Kafka does not answer; 500 records in the spool", await publisher.check())
    async with publishing(bootstrap, tmp_path, idempotence=idempotence) as publisher:
        assert await publisher.publish([message(keys[0], 100)]) is Durability.KAFKA
        assert await publisher.check() == "ok"
    for key in keys:
        count = 101 if key == keys[0] else 100
        found = await kafka.find(bootstrap, PAGE_VIEWS, lambda r, key=key: r.key == key.encode(), count=count)  # type: ignore[misc]
        assert [int(record.value) for record in found] == list(range(count))
        assert len({record.partition for record in found}) == 1


async def test_a_full_spool_is_an_error_to_who_retries_and_a_counted_drop_to_who_does_not(
    tmp_path: Path,
) -> None:
    async with publishing(nowhere(), tmp_path, within_s=0, bytes_max=1_000) as publisher:
        assert await publisher.offer([message("k", size=800)]) is Durability.SPOOL
        with pytest.raises(PublishError):
            await publisher.publish([message("k", size=800)])
        with pytest.raises(Retryable, match="the spool has no room"):
            await publisher.check()
        before = dropped("full")
        assert await publisher.offer([message("k", size=800)] * 3) is None
        assert dropped("full") == before + 3


async def test_a_cancelled_request_harms_nobody_else(
    bootstrap: str, stack: RunningStack, tmp_path: Path
) -> None:
    async with publishing(bootstrap, tmp_path, idempotence=stack.apache_kafka) as publisher:
        requests = [asyncio.create_task(publisher.publish([message("shared", n)])) for n in range(20)]
        await asyncio.sleep(0)
        for request in requests[::2]:
            request.cancel()
        assert await asyncio.gather(*requests[1::2]) == [Durability.KAFKA] * 10


@pytest.fixture
async def narrow(stack: RunningStack, bootstrap: str) -> AsyncIterator[Topic]:
    """A topic of one partition that takes no batch of more than 1000 bytes."""
    if not stack.apache_kafka:
        pytest.skip("the embedded broker has no limits by topic")
    name = f"test.narrow.{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "1000"})])
    yield Topic(name, type="", description="", key="", payload=None, producers=(), consumers=(), partitions=1)
    await admin.delete_topics([name])
    await admin.close()


async def test_a_record_that_kafka_refuses_costs_its_neighbours_nothing(
    bootstrap: str, narrow: Topic, tmp_path: Path
) -> None:
    async with publishing(bootstrap, tmp_path, topic=narrow) as publisher:
        requests = [
            publisher.publish([message("k", n, size=5_000 if n == 3 else 10, topic=narrow)]) for n in range(8)
        ]
        answers = await asyncio.gather(*requests, return_exceptions=True)
    assert isinstance(answers[3], PublishError)
    assert [*answers[:3], *answers[4:]] == [Durability.KAFKA] * 7
    found = await kafka.find(bootstrap, narrow, lambda record: True, count=7)
    assert [int(record.value.rstrip(b".")) for record in found] == [0, 1, 2, 4, 5, 6, 7]


async def test_a_spooled_record_of_a_topic_that_is_gone_is_dropped_and_counted(
    bootstrap: str, stack: RunningStack, tmp_path: Path
) -> None:
    spool = Spool(tmp_path, bytes_max=ROOMY)
    await spool.open()
    await spool.append([Spooled("signalbox.gone.v1", b"k", b"v", [], 1)])
    await spool.close()
    before = dropped("unknown_topic")
    async with publishing(bootstrap, tmp_path, idempotence=stack.apache_kafka) as publisher:
        assert await publisher.publish([message("k")]) is Durability.KAFKA
    assert dropped("unknown_topic") == before + 1


async def test_a_process_that_stops_sends_what_is_in_its_spool_first(
    bootstrap: str, stack: RunningStack, tmp_path: Path
) -> None:
    key = str(uuid.uuid4())
    async with publishing(nowhere(), tmp_path, within_s=0, idempotence=stack.apache_kafka) as publisher:
        for start in range(0, 5_000, 500):
            await publisher.publish([message(key, start + n, size=500) for n in range(500)])
    async with publishing(bootstrap, tmp_path, within_s=0, idempotence=stack.apache_kafka) as publisher:

        async def connected() -> bool:
            return not (await publisher.check()).startswith("Kafka does not answer")

        await eventually(connected)
        await publisher.stop(drain_s=30)
    found = await kafka.find(bootstrap, PAGE_VIEWS, lambda r: r.key == key.encode(), count=5_000)
    assert [int(record.value.rstrip(b".")) for record in found] == list(range(5_000))
    assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))
