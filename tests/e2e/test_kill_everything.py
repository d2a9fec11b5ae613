"""The whole stack, killed.

Goal: what ingest answered 202 to is stored, though Kafka, PostgreSQL, Redis and every service were killed at once
right after the answer.
Method: a stack of its own with its services, SIGKILL to every process of it, `up`, and a count.
"""

import json
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import Ports
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests.support.jobs_api import get
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault

EVENTS = 300


@pytest.fixture
def stack() -> Iterator[Stack]:
    folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
    folder.chmod(0o755)
    stack = Stack(replace(Settings.from_environ(os.environ), state_dir=folder, ports=Ports.free()))
    try:
        yield stack
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


async def test_what_was_accepted_survives_the_death_of_everything(stack: Stack) -> None:
    environment = stack.up()
    if environment["SIGNALBOX_KAFKA_IDEMPOTENCE"] != "true":
        pytest.skip("the embedded broker keeps records in memory: durability is shown on Apache Kafka only")
    keys = {"Authorization": f"Bearer {environment['SIGNALBOX_SECRET_KEY']}"}
    events = [{"type": "page_view", "page": "/survives"} for _ in range(EVENTS)]
    async with httpx.AsyncClient(headers=keys, timeout=30) as client:
        job = await client.post(f"{environment['INGEST_URL']}/v1/jobs", json={"type": "update_statistics"})
        accepted = await client.post(f"{environment['INGEST_URL']}/v1/events", json=events)
    kill_everything(stack)
    assert (accepted.json()["accepted"], job.status_code) == (EVENTS, 202)

    environment = stack.up()

    async def stored() -> bool:
        views = (await get(f"{environment['JOBS_URL']}/v1/page-views"))["page_views"]
        return {"name": "/survives", "count": EVENTS} in views

    await eventually(stored)

    async def completed() -> bool:
        return bool((await get(f"{environment['JOBS_URL']}/v1/jobs", status="completed"))["jobs"])

    await eventually(completed)


def kill_everything(stack: Stack) -> None:
    """SIGKILL to every process that the stack's folder names, and what they started."""
    for path in stack.state.run.glob("*.json"):
        pid = json.loads(path.read_text())["pid"]
        os.killpg(pid, signal.SIGKILL)
