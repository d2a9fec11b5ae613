"""ingest as a process, on real Kafka: what is answered 202 can be read from its topic."""

import asyncio
import os
import shutil
import socket
import subprocess
import sys
import uuid
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import ConsumerRecord
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local.settings import PROJECT
from services.ingest.publisher import DurablePublisher, Message
from services.ingest.spool import Spool
from shared.contracts import headers
from shared.contracts.topics import ERRORS, EVENTS, INVALIDATIONS, JOB_REQUESTS, METRICS, PAGE_VIEWS, Topic
from shared.errors import PublishError
from shared.settings import KafkaSettings
from tests.support import kafka
from tests.support.processes import ServiceProcess
from tests.support.stacks import PUBLIC_KEY, SECRET_KEY, RunningStack, free_ports

EVENTS_BY_TOPIC: dict[Topic, dict[str, Any]] = {
    ERRORS: {"type": "error", "message": "no such item", "exception_type": "KeyError"},
    METRICS: {"type": "metric", "name": "LCP", "value": 1200, "page": "/items/:id"},
    PAGE_VIEWS: {"type": "page_view", "page": "/"},
    EVENTS: {"type": "event", "name": "checkout_completed", "properties": {"items": 3}},
}


@pytest.fixture
def bootstrap(stack: RunningStack) -> str:
    return stack.environment["KAFKA_BOOTSTRAP_SERVERS"]


@pytest.fixture
async def server(ingest_url: str) -> AsyncIterator[httpx.AsyncClient]:
    """A client with the secret key."""
    async with httpx.AsyncClient(
        base_url=ingest_url, headers={"Authorization": f"Bearer {SECRET_KEY}"}
    ) as http:
        yield http


async def record_of(bootstrap: str, topic: Topic, id: str) -> ConsumerRecord:
    [record] = await kafka.find(bootstrap, topic, lambda r: headers.decode(r.headers).id == id)
    return record


async def test_every_type_of_event_is_on_its_topic_when_it_is_answered(
    server: httpx.AsyncClient, bootstrap: str
) -> None:
    response = await server.post("/v1/events", json=list(EVENTS_BY_TOPIC.values()))
    assert response.status_code == 202, response.text
    for topic, id, sent in zip(
        EVENTS_BY_TOPIC, response.json()["ids"], EVENTS_BY_TOPIC.values(), strict=True
    ):
        record = await record_of(bootstrap, topic, id)
        envelope = msgspec.json.decode(record.value, type=topic.payload)
        assert (envelope.id, envelope.project, envelope.source) == (id, "1", "server")
        assert msgspec.to_builtins(envelope.data) == sent
        assert headers.decode(record.headers).schema == topic.schema


async def test_a_browsers_batch_keeps_its_order_in_one_partition(ingest_url: str, bootstrap: str) -> None:
    page, session = f"/ordered/{uuid.uuid4()}", "one-visit"
    views = [{"type": "page_view", "page": page, "title": str(n), "session_id": session} for n in range(50)]
    async with httpx.AsyncClient(headers={"Content-Type": "text/plain"}) as browser:
        response = await browser.post(
            f"{ingest_url}/error-tracking?key={PUBLIC_KEY}", content=msgspec.json.encode({"events": views})
        )
    assert response.json()["accepted"] == 50
    found = await kafka.find(bootstrap, PAGE_VIEWS, lambda r: r.key == f"1|{page}".encode(), count=50)
    titles = [msgspec.json.decode(record.value)["data"]["title"] for record in found]
    assert titles == [str(n) for n in range(50)]
    assert len({record.partition for record in found}) == 1


async def test_a_job_and_a_change_are_on_their_topics(server: httpx.AsyncClient, bootstrap: str) -> None:
    job = await server.post(
        "/v1/jobs", json={"type": "update_statistics", "scheduled_at": "2999-01-01T00:00:00Z"}
    )
    change = await server.post("/v1/changes", json={"tags": ["city:berlin"]})
    request = await record_of(bootstrap, JOB_REQUESTS, job.json()["id"])
    invalidation = await record_of(bootstrap, INVALIDATIONS, change.json()["id"])
    assert request.key.decode() == job.json()["id"]
    assert msgspec.json.decode(request.value, type=JOB_REQUESTS.payload).type == "update_statistics"
    assert msgspec.json.decode(invalidation.value, type=INVALIDATIONS.payload).tags == ["city:berlin"]


@pytest.mark.parametrize("chunked", [False, True])
async def test_a_20_mb_body_is_refused_and_its_neighbours_are_served(
    server: httpx.AsyncClient, chunked: bool
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(200):
            yield b"x" * 100_000

    huge = server.post("/v1/events", content=chunks() if chunked else b"x" * 20_000_000)
    answers = await asyncio.gather(
        huge, *(server.post("/v1/events", json=EVENTS_BY_TOPIC[PAGE_VIEWS]) for _ in range(20))
    )
    assert [answer.status_code for answer in answers] == [413] + [202] * 20


async def test_metrics_are_as_promtool_wants_them(server: httpx.AsyncClient) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    await server.post("/v1/events", json=[*EVENTS_BY_TOPIC.values(), {}])
    exposition = (await server.get("/metrics")).content
    checked = await asyncio.to_thread(
        subprocess.run, [promtool, "check", "metrics"], input=exposition, capture_output=True, timeout=30
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, b"", b"")


async def test_the_browser_library_is_served(server: httpx.AsyncClient) -> None:
    latest = await server.get("/monitoring.js")
    hash = latest.headers["etag"].strip('"')
    version = await server.get(f"/monitoring-{hash}.js")
    assert latest.status_code == version.status_code == 200
    assert latest.content == version.content


async def test_sigterm_lets_the_request_under_way_finish(stack: RunningStack, logs: Path) -> None:
    half_sent, released = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        yield b'{"type": "page_view", '
        half_sent.set()
        await released.wait()
        yield b'"page": "/"}'

    with ServiceProcess("ingest", stack.environment, logs / "ingest-stopped.log") as ingest:
        async with httpx.AsyncClient(headers={"Authorization": f"Bearer {SECRET_KEY}"}) as http:
            request = asyncio.create_task(http.post(f"{ingest.url}/v1/events", content=body()))
            await half_sent.wait()
            stopping = asyncio.create_task(asyncio.to_thread(ingest.stop))
            await asyncio.to_thread(_until_refused, ingest.port)
            released.set()
            assert (await request).status_code == 202
        assert await stopping == 0


def _until_refused(port: int) -> None:
    """Return when nobody accepts connections any more."""
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=5).close()
        except ConnectionResetError:  # it was in the queue of a socket that is being closed
            continue
        except ConnectionRefusedError:
            return


@pytest.mark.parametrize(
    ("variables", "says"),
    [
        ({"SIGNALBOX_PUBLIC_KEY": None}, "SIGNALBOX_PUBLIC_KEY: Field required"),
        ({"SIGNALBOX_INGEST_SPOOL_DIR": "/dev/null/spool"}, "SIGNALBOX_INGEST_SPOOL_DIR moves it"),
        ({"SIGNALBOX_HOST": "192.0.2.1"}, "SIGNALBOX_HOST and SIGNALBOX_INGEST_PORT move it"),
    ],
)
async def test_what_cannot_start_says_why_in_one_line(
    stack: RunningStack, variables: dict[str, str | None], says: str
) -> None:
    port = {"SIGNALBOX_INGEST_PORT": str(free_ports(1)[0])}
    environment = {**os.environ, **stack.environment, **port, **variables}
    ended = await asyncio.to_thread(
        subprocess.run,
        [sys.executable, "-m", "services.ingest"],
        cwd=PROJECT,
        env={name: value for name, value in environment.items() if value is not None},
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert ended.stderr.startswith("ingest: ")
    assert says in ended.stderr


@pytest.fixture
async def narrow_topic(stack: RunningStack, bootstrap: str) -> AsyncIterator[Topic]:
    """A topic that takes no record of more than 1000 bytes."""
    if not stack.apache_kafka:
        pytest.skip("the embedded broker has no idempotent producer and no limits by topic")
    name = f"test.narrow.{uuid.uuid4()}"
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, 1, 1, topic_configs={"max.message.bytes": "1000"})])
    yield Topic(name, type="", description="", key="", payload=None, producers=(), consumers=(), partitions=1)
    await admin.delete_topics([name])
    await admin.close()


async def test_a_producer_that_was_refused_for_good_is_replaced(
    bootstrap: str, narrow_topic: Topic, tmp_path: Path
) -> None:
    """After a refused batch Kafka answers OutOfOrderSequence to all that follows from the same producer."""
    fits = Message(narrow_topic, b"k", b"fits", [])
    publisher = DurablePublisher(
        KafkaSettings.model_validate({"KAFKA_BOOTSTRAP_SERVERS": bootstrap}),
        [narrow_topic],
        Spool(tmp_path, bytes_max=1_000_000),
        timeout_s=10,
        compression=None,
    )
    await publisher.start(within_s=10)
    try:
        for _ in range(2):
            with pytest.raises(PublishError):
                await publisher.publish([Message(narrow_topic, b"k", b"x" * 5_000, [])])
            await publisher.publish([fits])
    finally:
        await publisher.stop()
    found = await kafka.find(bootstrap, narrow_topic, lambda record: record.value == b"fits", count=2)
    assert len(found) == 2
