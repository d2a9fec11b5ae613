"""Workers that die.

Goal: a job whose worker is killed in the middle runs again, once; samples are counted once though the worker that
stores them is killed again and again.
Method: a stack of its own, so that no other worker helps; real processes, SIGKILL.
"""

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from shared.contracts.events import Envelope, Metric
from shared.contracts.jobs import JobType
from shared.contracts.topics import METRICS
from shared.ids import new_id
from tests.support import kafka
from tests.support.jobs_api import enqueue, get, job
from tests.support.processes import ServiceProcess
from tests.support.stacks import RunningStack, running_stack
from tests.support.waiting import eventually
from tests.support.webhook import webhook

pytestmark = pytest.mark.fault

SAMPLES = 20_000
KILLS = 2


@pytest.fixture(scope="module")
def own_stack() -> Iterator[RunningStack]:
    """A stack that no other test's worker reads from."""
    with running_stack() as stack:
        if not stack.apache_kafka:
            pytest.skip("what a killed worker leaves behind is shown on Apache Kafka only")
        yield stack


@asynccontextmanager
async def database(stack: RunningStack) -> AsyncIterator[asyncpg.Connection]:
    connection = await asyncpg.connect(stack.environment["POSTGRES_DSN"])
    try:
        yield connection
    finally:
        await connection.close()


async def test_a_job_whose_worker_is_killed_runs_again_once(own_stack: RunningStack, tmp_path: Path) -> None:
    environment = {
        **own_stack.environment,
        "SIGNALBOX_WEBHOOK_HOSTS": "127.0.0.1",
        "SIGNALBOX_JOBS_LEASE_S": "2",
        "SIGNALBOX_JOBS_WORKER_NAME": "the-same",  # as a container's name and process id are after a restart
    }
    with webhook(is_open=False) as hook:
        first = ServiceProcess("jobs", environment, tmp_path / "first.log").start()
        payload = {"to": "ann", "title": "rescued", "webhook": hook.url}
        id = await enqueue(first.url, JobType.SEND_NOTIFICATION, payload)

        async def called() -> bool:
            return len(hook.calls) == 1

        await eventually(called)
        first.kill()
        hook.open.set()
        with ServiceProcess("jobs", environment, tmp_path / "second.log") as second:
            done = await job(second.url, id, "completed", "failed")
            stats = await get(f"{second.url}/v1/jobs/stats")
    assert (done["status"], done["attempts"]) == ("completed", 2)
    assert "fell silent" in done["errors"][0]["error"]
    assert [call["key"] for call in hook.calls] == [id, id]
    assert stats["by_status"]["running"] == 0


async def test_samples_are_counted_once_though_their_worker_is_killed(
    own_stack: RunningStack, tmp_path: Path
) -> None:
    now = datetime.now(UTC)
    samples = [
        msgspec.json.encode(
            Envelope(
                id=f"sample-{number}",
                project="1",
                source="server",
                received_at=now,
                occurred_at=now,
                data=Metric(name="LCP", value=float(number % 5000 + 1), page=f"/page-{number % 7}"),
            )
        )
        for number in range(SAMPLES)
    ]
    await kafka.put_many(own_stack.environment["KAFKA_BOOTSTRAP_SERVERS"], METRICS, samples)
    async with database(own_stack) as connection:

        async def stored() -> int:
            return int(await connection.fetchval("SELECT count(*) FROM metrics WHERE id LIKE 'sample-%'"))

        for kill in range(KILLS):
            worker = ServiceProcess("jobs", own_stack.environment, tmp_path / f"worker-{kill}.log").start()
            enough = min((kill + 1) * SAMPLES // (KILLS + 2), SAMPLES - 1)

            async def some(enough: int = enough) -> bool:
                return await stored() >= enough

            await eventually(some, within_s=60)
            worker.kill()
        with ServiceProcess("jobs", own_stack.environment, tmp_path / "last.log"):

            async def all_of_them() -> bool:
                return await stored() == SAMPLES

            await eventually(all_of_them, within_s=60)
        windows: list[Any] = await connection.fetch(
            "SELECT page, sum(count)::int AS count, sum(sum) AS total FROM vitals_minute GROUP BY page ORDER BY page"
        )
    expected = [
        (
            f"/page-{page}",
            len(range(page, SAMPLES, 7)),
            float(sum(number % 5000 + 1 for number in range(page, SAMPLES, 7))),
        )
        for page in range(7)
    ]
    assert [tuple(row) for row in windows] == expected


async def test_a_defect_ends_the_worker_and_loses_nothing(own_stack: RunningStack, tmp_path: Path) -> None:
    """Goal: an error that nobody foresaw is not passed over. Method: a table is renamed under a running worker."""
    now = datetime.now(UTC)
    sample = Envelope(
        id=new_id(),
        project="1",
        source="server",
        received_at=now,
        occurred_at=now,
        data=Metric(name="LCP", value=1.0, page="/defect"),
    )
    worker = ServiceProcess("jobs", own_stack.environment, tmp_path / "defect.log").start()
    async with database(own_stack) as connection:
        await connection.execute("ALTER TABLE vitals_minute RENAME TO elsewhere")
        try:
            await kafka.put(
                own_stack.environment["KAFKA_BOOTSTRAP_SERVERS"], METRICS, [msgspec.json.encode(sample)]
            )
            assert await asyncio.to_thread(worker.wait) == 1
        finally:
            await connection.execute("ALTER TABLE elsewhere RENAME TO vitals_minute")
    assert "UndefinedTableError" in worker.log.read_text()
    with ServiceProcess("jobs", own_stack.environment, tmp_path / "mended.log") as mended:

        async def counted() -> bool:
            vitals = (await get(f"{mended.url}/v1/vitals", page="/defect"))["vitals"]
            return [vital["count"] for vital in vitals] == [1]

        await eventually(counted)
