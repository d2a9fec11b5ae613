"""ingest as several processes: one address, one count, and nobody notices when one of them dies."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.processes import ServiceProcess
from tests.support.stacks import SECRET_KEY, RunningStack
from tests.support.waiting import eventually

WORKERS = 2
ACCEPTED = 'signalbox_ingest_items_accepted_total{topic="signalbox.page-views.v1"}'


@pytest.fixture
def ingest(stack: RunningStack, logs: Path, tmp_path: Path) -> Iterator[ServiceProcess]:
    environment = {
        **stack.environment,
        "SIGNALBOX_INGEST_WORKERS": str(WORKERS),
        "SIGNALBOX_STATE_DIR": str(tmp_path),
    }
    with ServiceProcess("ingest", environment, logs / "ingest-workers.log") as ingest:
        yield ingest


@pytest.fixture
async def http(ingest: ServiceProcess) -> AsyncIterator[httpx.AsyncClient]:
    """A client that opens a connection for each request, so that any worker may have it."""
    headers = {"Authorization": f"Bearer {SECRET_KEY}", "Connection": "close"}
    async with httpx.AsyncClient(base_url=ingest.url, headers=headers) as http:
        yield http


async def post(http: httpx.AsyncClient, count: int) -> None:
    answers = await asyncio.gather(
        *(http.post("/v1/events", json={"type": "page_view"}) for _ in range(count))
    )
    assert {answer.status_code for answer in answers} == {202}


async def accepted(http: httpx.AsyncClient) -> float:
    lines = (await http.get("/metrics")).text.splitlines()
    return sum(float(line.rpartition(" ")[2]) for line in lines if line.startswith(ACCEPTED))


def workers(ingest: ServiceProcess) -> list[int]:
    """The processes that serve, by what they listen on."""
    children = Path(f"/proc/{ingest.pid}/task/{ingest.pid}/children").read_text().split()
    return [int(pid) for pid in children if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes()]


async def test_any_worker_counts_for_all_and_a_dead_one_still_counts(
    ingest: ServiceProcess, http: httpx.AsyncClient
) -> None:
    async def says(count: float) -> bool:
        return await accepted(http) == count

    async def is_replaced() -> bool:
        now = workers(ingest)
        return len(now) == WORKERS and killed not in now

    await post(http, 40)
    for _ in range(4 * WORKERS):  # whichever answers
        await eventually(lambda: says(40))
    killed, *others = workers(ingest)
    assert len(others) == WORKERS - 1
    os.kill(killed, signal.SIGKILL)
    await eventually(is_replaced)
    await post(http, 10)
    await eventually(lambda: says(50))


async def test_all_workers_stop_when_told_to(ingest: ServiceProcess) -> None:
    pids = workers(ingest)
    assert await asyncio.to_thread(ingest.stop) == 0
    assert not alive(pids)


async def test_workers_do_not_outlive_what_started_them(ingest: ServiceProcess) -> None:
    async def are_gone() -> bool:
        return not alive(pids)

    pids = workers(ingest)
    await asyncio.to_thread(ingest.kill)
    await eventually(are_gone)


def alive(pids: list[int]) -> list[int]:
    """Those that run; a process that ended, and that nobody has asked, does not."""
    states = [(pid, Path(f"/proc/{pid}/stat")) for pid in pids]
    return [
        pid for pid, stat in states if stat.exists() and stat.read_text().rpartition(")")[2].split()[0] != "Z"
    ]
