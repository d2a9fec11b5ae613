"""Goal: what a Python server tracks is on Kafka once, whatever happens to ingest, and whatever happens to the server.

Method: a real ingest that is killed and started again under a client with a disk queue, whose process is killed too.
"""

import asyncio
import os
import subprocess
import sys
import uuid
from pathlib import Path

from shared.contracts import headers
from shared.contracts.topics import EVENTS, JOB_REQUESTS
from signalbox_client import AsyncClient, Counts
from tests.support import kafka
from tests.support.processes import ServiceProcess
from tests.support.stacks import SECRET_KEY, RunningStack

EVENTS_EACH = 50


async def test_events_and_jobs_arrive_through_asyncio(ingest_url: str, stack: RunningStack) -> None:
    bootstrap = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    mark = uuid.uuid4().hex
    async with AsyncClient(ingest_url, SECRET_KEY) as client:
        client.track_event(f"client-{mark}", {"emoji": "😀", "odd": "a\x00b\ud83d"})
        job = await client.enqueue_job("update_statistics", idempotency_key=mark)
        assert await client.enqueue_job("update_statistics", idempotency_key=mark) == job
        assert await client.flush()
        assert client.counts() == Counts(tracked=1, accepted=1)
    [event] = await kafka.find(bootstrap, EVENTS, lambda r: mark.encode() in r.value)
    assert "a\ufffdb?".encode() in event.value
    await kafka.find(bootstrap, JOB_REQUESTS, lambda r: headers.decode(r.headers).id == job, count=2)


async def test_nothing_is_lost_when_ingest_and_the_client_are_killed(
    stack: RunningStack, logs: Path, tmp_path: Path
) -> None:
    mark = uuid.uuid4().hex
    ingest = ServiceProcess("ingest", stack.environment, logs / "ingest-client.log")

    def track(phase: str) -> None:
        """In a process of its own, which is killed once everything is sent, or on its disk."""
        script = f"""
import os, signal
from signalbox_client import Client
client = Client({ingest.url!r}, {SECRET_KEY!r}, queue_dir={str(tmp_path / "queue")!r}, flush_interval_s=0.05, batch_events_max=10)
for n in range({EVENTS_EACH}):
    client.track_event("{mark}-{phase}-" + str(n))
client.flush(timeout_s=2)
os.kill(os.getpid(), signal.SIGKILL)
"""
        environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
        subprocess.run([sys.executable, "-c", script], env=environment, timeout=60, check=False)

    with ingest:
        await asyncio.to_thread(track, "up")
        await asyncio.to_thread(ingest.kill)
        await asyncio.to_thread(track, "down")
        await asyncio.to_thread(track, "still-down")
        await asyncio.to_thread(ingest.start)
        await _send_what_is_left(ingest.url, tmp_path / "queue", mark)
    wanted = {f"{mark}-{phase}-{n}" for phase in ("up", "down", "still-down") for n in range(EVENTS_EACH)}
    wanted.add(f"{mark}-last-0")
    records = await kafka.find(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        EVENTS,
        lambda record: mark.encode() in record.value,
        count=len(wanted),
    )
    ids: dict[str, set[str]] = {}
    for record in records:
        name = record.value.partition(b'"name":"')[2].partition(b'"')[0].decode()
        ids.setdefault(name, set()).add(headers.decode(record.headers).id)
    assert ids.keys() == wanted
    assert all(len(each) == 1 for each in ids.values()), "one id for one event, however often it was sent"


async def _send_what_is_left(url: str, folder: Path, mark: str) -> None:
    """The next process that names the folder sends what the killed ones left there."""
    async with AsyncClient(url, SECRET_KEY, queue_dir=folder) as client:
        client.track_event(f"{mark}-last-0")
        assert await client.flush(timeout_s=30)
        sent = 2 * EVENTS_EACH + 1
        assert client.counts() == Counts(tracked=sent, accepted=sent)
