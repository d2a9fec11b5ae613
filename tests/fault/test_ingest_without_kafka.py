"""ingest while Kafka is killed, frozen and restarted, and while ingest itself is killed.

Goal: every answer is a 202, as quick as ever; everything that was answered so is on Kafka afterwards, in order for
each key; what may not be kept is refused.
Method: a stack of its own on Apache Kafka, visitors that send one event after the other, SIGKILL and SIGSTOP, and a
look at all of the topic.
"""

import asyncio
import os
import re
import shutil
import signal
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import httpx
import pytest

from deploy.local.ports import Ports
from deploy.local.process import Running
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests.support.processes import ServiceProcess
from tests.support.stacks import PUBLIC_KEY, SECRET_KEY
from tests.support.visitors import OnKafka, Traffic, on_kafka, visitors
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault

DEADLINE_S = 1.0


@dataclass
class Site:
    """A Kafka that can be hurt, and what an ingest needs to know of it."""

    stack: Stack
    environment: dict[str, str]
    logs: Path

    @property
    def bootstrap(self) -> str:
        return self.environment["KAFKA_BOOTSTRAP_SERVERS"]

    def ingest(self, spool: Path, **variables: str) -> ServiceProcess:
        environment = {
            **self.environment,
            "SIGNALBOX_INGEST_SPOOL_DIR": str(spool),
            "SIGNALBOX_PUBLISH_TIMEOUT_S": str(DEADLINE_S),
            **variables,
        }
        return ServiceProcess("ingest", environment, self.logs / "ingest.log")

    def signal_kafka(self, number: signal.Signals) -> None:
        kafka = Running.read(self.stack.state.run / "kafka.json")
        assert kafka is not None
        os.killpg(kafka.pid, number)

    async def restart_kafka(self) -> None:
        await asyncio.to_thread(self.stack.up, services=False)


@pytest.fixture(scope="module")
def site() -> Iterator[Site]:
    folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
    folder.chmod(0o755)
    stack = Stack(replace(Settings.from_environ(os.environ), state_dir=folder, ports=Ports.free()))
    try:
        variables = stack.up(services=False)
        if variables["SIGNALBOX_KAFKA_IDEMPOTENCE"] != "true":
            pytest.skip(
                "the embedded broker keeps records in memory: durability is shown on Apache Kafka only"
            )
        keys = {"SIGNALBOX_PUBLIC_KEY": PUBLIC_KEY, "SIGNALBOX_SECRET_KEY": SECRET_KEY}
        yield Site(stack, {**variables, **keys}, folder)
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


async def metric(url: str, name: str) -> float:
    async with httpx.AsyncClient() as client:
        exposition = (await client.get(f"{url}/metrics", timeout=10)).text
    found = re.search(rf"^{name} (\S+)$", exposition, re.MULTILINE)
    return float(found[1]) if found else 0.0


async def is_live(url: str) -> bool:
    """Nothing is in the spool, and records go to Kafka."""
    return (
        await metric(url, "signalbox_ingest_breaker_state") == 0
        and await metric(url, "signalbox_ingest_spool_bytes") == 0
    )


async def all_there(site: Site, traffic: Traffic, *, ordered: bool = True) -> OnKafka:
    found = await on_kafka(site.bootstrap)
    assert found.lacks(traffic) == []
    if ordered:
        pages = {answer.page for answer in traffic.answers}
        assert [page for page in found.disordered() if page in pages] == []
    return found


async def test_kafka_killed_under_traffic_is_noticed_by_nobody(site: Site, tmp_path: Path) -> None:
    with site.ingest(tmp_path) as ingest:
        async with visitors(ingest.url) as traffic:
            await traffic.reached(300)
            killed_at = time.monotonic()
            site.signal_kafka(signal.SIGKILL)
            await traffic.reached(600)
            away = traffic.since(killed_at)
            await site.restart_kafka()
            await eventually(lambda: is_live(ingest.url))
            await traffic.reached(100)
        assert traffic.statuses() == {202}
        assert len(away.stored("spool")) > 300
        assert traffic.answers[-1].durability == "kafka"
        found = await all_there(site, traffic)
        before = traffic.since(0, killed_at)
        print(
            f"p99 {before.quantile_s(0.99) * 1e3:.0f} ms before, {away.quantile_s(0.99) * 1e3:.0f} ms without Kafka;"
            f" p50 {before.quantile_s(0.5) * 1e3:.1f}, {away.quantile_s(0.5) * 1e3:.1f};"
            f" {len(found.ids) - len(set(found.ids))} doubles of {len(found.ids)}"
        )
        assert max(answer.took_s for answer in away.answers) < 2 * DEADLINE_S


async def test_kafka_frozen_for_seconds_delays_answers_by_no_more_than_the_deadline(
    site: Site, tmp_path: Path
) -> None:
    with site.ingest(tmp_path) as ingest:
        async with visitors(ingest.url) as traffic:
            await traffic.reached(100)
            frozen_at = time.monotonic()
            site.signal_kafka(signal.SIGSTOP)
            try:
                await traffic.reached(400)
            finally:
                site.signal_kafka(signal.SIGCONT)
            frozen = traffic.since(frozen_at)
            await eventually(lambda: is_live(ingest.url))
        assert traffic.statuses() == {202}
        assert len(frozen.stored("spool")) > 300
        late = [answer for answer in frozen.answers if answer.took_s > DEADLINE_S / 2]
        assert len(late) <= 40  # two a visitor: what was in flight, and what came behind it
        assert max(answer.took_s for answer in frozen.answers) < 2 * DEADLINE_S + 0.5
        await all_there(site, traffic)


@pytest.mark.parametrize("workers", [1, 2])
async def test_ingest_killed_while_kafka_is_away_loses_nothing(
    site: Site, tmp_path: Path, workers: int
) -> None:
    ingest = site.ingest(tmp_path, SIGNALBOX_INGEST_WORKERS=str(workers)).start()
    try:
        async with visitors(ingest.url) as first:
            await first.reached(50)
            site.signal_kafka(signal.SIGKILL)
            await first.reached(300)
            ingest.kill_group()
        assert len(first.stored("spool")) >= 200
        ingest.start()  # which it does without Kafka
        async with httpx.AsyncClient() as client:
            ready = (await client.get(f"{ingest.url}/readyz")).json()
        assert "Kafka does not answer" in ready["checks"]["kafka"]
        async with visitors(ingest.url) as second:
            await second.reached(100)
        assert second.statuses() == {202}
        await site.restart_kafka()
        await eventually(lambda: is_live(ingest.url))
        assert ingest.stop() == 0
    finally:
        ingest.__exit__()
    # Two workers have a spool each, and a visitor's connections may be with both.
    await all_there(site, Traffic([*first.answers, *second.answers]), ordered=workers == 1)
    assert not await asyncio.to_thread(lambda: list(tmp_path.iterdir()))


async def test_a_full_spool_is_said_and_kafkas_return_empties_it(site: Site, tmp_path: Path) -> None:
    with site.ingest(tmp_path, SIGNALBOX_INGEST_SPOOL_BYTES_MAX="20000") as ingest:
        site.signal_kafka(signal.SIGKILL)
        async with visitors(ingest.url) as traffic, httpx.AsyncClient() as client:

            async def refused() -> bool:
                return 503 in traffic.statuses()

            await eventually(refused)
            not_ready = await client.get(f"{ingest.url}/readyz")
            answer = await client.post(
                f"{ingest.url}/v1/events?key={PUBLIC_KEY}", json={"type": "page_view", "title": "t" * 2_000}
            )
            await site.restart_kafka()
            await eventually(lambda: is_live(ingest.url))
            resumed_at = time.monotonic()
            await traffic.reached(50)
        assert (not_ready.status_code, answer.status_code) == (503, 503)
        assert 1 <= int(answer.headers["retry-after"]) <= 5
        assert traffic.since(resumed_at).statuses() == {202}
        await all_there(site, traffic)


async def test_sigterm_says_so_first_and_leaves_nothing_behind(site: Site, tmp_path: Path) -> None:
    with site.ingest(tmp_path, SIGNALBOX_INGEST_UNREADY_S="1") as ingest:
        async with httpx.AsyncClient() as client:
            stopping = asyncio.create_task(asyncio.to_thread(ingest.stop))

            async def unready() -> bool:
                return (await client.get(f"{ingest.url}/readyz")).status_code == 503

            await eventually(unready)
            answer = await client.post(f"{ingest.url}/v1/events?key={PUBLIC_KEY}", json={"type": "page_view"})
        assert answer.status_code == 202
        assert await stopping == 0
    assert answer.json()["ids"][0] in (await on_kafka(site.bootstrap)).ids
