"""The stack without Docker, when its parts are killed and its ports are taken.

Goal: what Kafka, PostgreSQL and Redis acknowledged survives a kill -9 of all of them; `up` repairs whatever
is missing; `down` leaves nothing; each obstacle is one line.
Method: a stack of its own on free ports in a folder of its own, real processes, real signals.
"""

import asyncio
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from pathlib import Path

import asyncpg
import pytest
import redis
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from deploy.local import LocalStackError, Ports, Settings, Stack, status
from deploy.local.kafka_jars import KafkaJars
from deploy.local.ports import is_free
from deploy.local.process import Running
from deploy.local.settings import PROJECT
from deploy.local.stack import FOUNDATION
from deploy.local.state import State
from tests.support.waiting import eventually

pytestmark = pytest.mark.fault


@pytest.fixture
def state_dir() -> Iterator[Path]:
    """A folder that PostgreSQL's user can enter too when the tests run as root."""
    folder = Path(tempfile.mkdtemp(prefix="signalbox-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder)


@pytest.fixture
def stack(state_dir: Path) -> Iterator[Stack]:
    """Not started yet; stopped at the end whatever happened."""
    stack = Stack(Settings(state_dir=state_dir, ports=Ports.free(), broker="apache"))
    problem = KafkaJars(stack.state, os.environ).problem()
    if problem:
        pytest.skip(f"durability is shown on Apache Kafka only: {problem}")
    yield stack
    stack.down()


def processes_of(stack: Stack) -> dict[str, Running]:
    found = {name: Running.read(stack.state.run / f"{name}.json") for name in FOUNDATION}
    return {name: process for name, process in found.items() if process}


def working_in(folder: Path) -> list[str]:
    """The command lines of all processes that were told of `folder` or work in it."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            command = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            where = os.readlink(entry / "cwd")
            if int(entry.name) != os.getpid() and (str(folder) in command or where.startswith(f"{folder}/")):
                found.append(command)
    return found


async def store_everywhere(env: dict[str, str]) -> None:
    """A row, a key and a record, each acknowledged."""
    connection = await asyncpg.connect(env["POSTGRES_DSN"])
    await connection.execute("CREATE TABLE kept (what text)")
    await connection.execute("INSERT INTO kept VALUES ('row')")
    await connection.close()
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        assert client.set("kept", "key")
    servers = env["KAFKA_BOOTSTRAP_SERVERS"]
    admin = AIOKafkaAdminClient(bootstrap_servers=servers)
    await admin.start()
    await admin.create_topics([NewTopic("kept", 1, 1)])
    await admin.close()
    async with AIOKafkaProducer(bootstrap_servers=servers, enable_idempotence=True, acks="all") as producer:
        await producer.send_and_wait("kept", b"record")


async def read_everywhere(env: dict[str, str]) -> tuple[object, object, object]:
    connection = await asyncpg.connect(env["POSTGRES_DSN"])
    row = await connection.fetchval("SELECT what FROM kept")
    await connection.close()
    with redis.Redis.from_url(env["REDIS_URL"]) as client:
        key = client.get("kept")
    async with AIOKafkaConsumer(
        bootstrap_servers=env["KAFKA_BOOTSTRAP_SERVERS"], auto_offset_reset="earliest"
    ) as consumer:
        consumer.assign([TopicPartition("kept", 0)])
        record = await asyncio.wait_for(consumer.getone(), 10)
    return row, key, record.value


def test_all_killed_and_brought_up_again_still_have_what_they_acknowledged(stack: Stack) -> None:
    env = stack.up(services=False, schema=False)
    asyncio.run(store_everywhere(env))
    before = processes_of(stack)
    for process in before.values():
        os.kill(process.pid, signal.SIGKILL)
    assert {row.state for row in status.rows(stack.settings) if row.name in FOUNDATION} == {"died"}

    assert stack.up(services=False, schema=False) == env

    assert asyncio.run(read_everywhere(env)) == ("row", b"key", b"record")
    assert {process.pid for process in before.values()}.isdisjoint(
        process.pid for process in processes_of(stack).values()
    )


def test_up_again_starts_only_what_is_missing_and_down_leaves_nothing(stack: Stack) -> None:
    stack.up(services=False, schema=False)
    first = processes_of(stack)
    stack.up(services=False, schema=False)
    assert processes_of(stack) == first

    os.kill(first["redis"].pid, signal.SIGKILL)
    stack.up(services=False, schema=False)
    second = processes_of(stack)
    assert (second["kafka"], second["postgres"]) == (first["kafka"], first["postgres"])
    assert second["redis"].pid != first["redis"].pid

    # Killed alone, PostgreSQL leaves children behind, one of them in the midst of a long statement.
    asyncio.run(leave_a_statement_running(stack.settings, stack.state))
    os.kill(second["postgres"].pid, signal.SIGKILL)
    assert sorted(stack.down()) == ["kafka", "redis"]
    assert_nothing_is_left(stack)


async def leave_a_statement_running(settings: Settings, state: State) -> None:
    dsn = Stack(settings).up(services=False, schema=False)["POSTGRES_DSN"]
    connection = await asyncpg.connect(dsn)
    query = asyncio.create_task(connection.execute("SELECT count(*) FROM generate_series(1, 1e12::bigint)"))
    watcher = await asyncpg.connect(dsn)
    runs = "SELECT 1 FROM pg_stat_activity WHERE query LIKE '%1e12%' AND pid <> pg_backend_pid()"
    await eventually(lambda: watcher.fetchval(runs))
    await watcher.close()
    query.cancel()
    connection.terminate()
    with suppress(asyncio.CancelledError, OSError, asyncpg.PostgresError):
        await query


def assert_nothing_is_left(stack: Stack) -> None:
    deadline = time.monotonic() + 5.0  # a signalled process that is not ours to wait for may take a moment
    while (left := working_in(stack.settings.state_dir)) and time.monotonic() < deadline:
        time.sleep(0.02)
    assert left == []
    ports = stack.settings.ports
    assert all(is_free(port) for port in (ports.kafka, ports.kafka_controller, ports.postgres, ports.redis))


def test_ups_at_the_same_time_take_turns(stack: Stack) -> None:
    results: list[dict[str, str]] = []
    ups = [
        threading.Thread(
            target=lambda: results.append(Stack(stack.settings).up(services=False, schema=False))
        )
        for _ in range(3)
    ]
    for up in ups:
        up.start()
    for up in ups:
        up.join()
    assert len(results) == 3
    assert results[0] == results[1] == results[2]


def test_another_port_while_it_runs_is_refused_and_taken_after_down(stack: Stack) -> None:
    stack.up(services=False, schema=False)
    moved = Stack(replace(stack.settings, ports=Ports.free()))
    with pytest.raises(LocalStackError, match="make down first"):
        moved.up(services=False, schema=False)
    asyncio.run(store_everywhere(stack.up(services=False, schema=False)))
    stack.down()
    assert asyncio.run(read_everywhere(moved.up(services=False, schema=False))) == ("row", b"key", b"record")


def command(state_dir: Path, *arguments: str, **environ: str) -> "subprocess.CompletedProcess[str]":
    """`python -m deploy.local`, as a person runs it."""
    return subprocess.run(
        [sys.executable, "-m", "deploy.local", *arguments],
        cwd=PROJECT,
        env={**os.environ, "SIGNALBOX_STATE_DIR": str(state_dir), **environ},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )


def test_a_taken_port_is_one_line_and_nothing_was_started(state_dir: Path) -> None:
    ports = Ports.free()
    environ = {Ports.variable(name): str(number) for name, number in vars(ports).items()}
    with socket.create_server(("127.0.0.1", ports.redis)):
        refused = command(state_dir, "up", "--bare", BROKER="embedded", **environ)
    assert refused.returncode == 1
    assert refused.stderr.count("\n") == 1
    assert f"port {ports.redis}" in refused.stderr
    assert "SIGNALBOX_REDIS_PORT" in refused.stderr
    assert working_in(state_dir) == []


def test_a_server_that_dies_shows_the_end_of_its_log(stack: Stack) -> None:
    stack.up(services=False, schema=False)
    stack.down()
    (stack.state.root / "postgres" / "data" / "global" / "pg_control").unlink()
    with pytest.raises(LocalStackError, match="pg_control") as caught:
        stack.up(services=False, schema=False)
    assert str(stack.state.log("postgres")) in str(caught.value)


def test_the_embedded_broker_says_what_it_cannot_promise_and_is_followed_by_its_kind(state_dir: Path) -> None:
    ports = Ports.free()
    environ = {Ports.variable(name): str(number) for name, number in vars(ports).items()}
    up = command(state_dir, "up", "--bare", BROKER="embedded", **environ)
    try:
        assert up.returncode == 0, up.stderr
        assert "BROKER=embedded asks for it: it keeps records in memory only" in up.stdout
        assert "SIGNALBOX_KAFKA_IDEMPOTENCE=false" in (state_dir / "env").read_text()

        broker = Running.read(state_dir / "run" / "kafka.json")
        assert broker is not None
        os.kill(broker.pid, signal.SIGKILL)
        again = command(state_dir, "up", "--bare", BROKER="", **environ)
        assert "it was one before" in again.stdout, again.stderr
        other = command(state_dir, "up", "--bare", BROKER="apache", **environ)
        assert "started as embedded, not apache: make down first" in other.stderr
    finally:
        down = command(state_dir, "down")
    assert down.returncode == 0
    assert working_in(state_dir) == []
