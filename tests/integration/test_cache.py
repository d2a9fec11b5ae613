"""The cache as its callers see it: two replicas on the same Redis, PostgreSQL and Kafka."""

import asyncio
import json
import shutil
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeAlias
from urllib.parse import urlsplit

import asyncpg
import httpx
import msgspec
import pytest
from redis.asyncio import Redis

from deploy.local.settings import PROJECT
from shared.clock import SystemClock
from shared.contracts.cache import Invalidation
from shared.contracts.topics import INVALIDATIONS, TOPICS
from shared.ids import new_id
from tests.support import kafka
from tests.support.processes import ServiceProcess
from tests.support.stacks import PUBLIC_KEY, SECRET_KEY, RunningStack
from tests.support.waiting import eventually

Postgres: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

OPERATOR = {"Authorization": f"Bearer {SECRET_KEY}"}
#: So long that a test that passes because L1 let go by itself would have failed long before.
PATIENT = {"SIGNALBOX_CACHE_L1_TTL_S": "600"}


@pytest.fixture(scope="module")
def replicas(stack: RunningStack, logs: Path) -> Iterator[tuple[str, str]]:
    """The addresses of two replicas whose L1 lets go of nothing by itself."""
    environment = {**stack.environment, **PATIENT}
    with (
        ServiceProcess("cache", environment, logs / "cache-a.log") as one,
        ServiceProcess("cache", environment, logs / "cache-b.log") as other,
    ):
        yield one.url, other.url


@pytest.fixture
async def database(stack: RunningStack) -> AsyncIterator[Postgres]:
    connection = await asyncpg.connect(stack.environment["POSTGRES_DSN"])
    yield connection
    await connection.close()


@pytest.fixture
async def technician(database: Postgres) -> AsyncIterator[int]:
    """The id of a technician called `before`."""
    id = await database.fetchval(
        "INSERT INTO app.technicians (name, email) VALUES ('before', $1) RETURNING id",
        f"{new_id()}@example.com",
    )
    yield int(id)
    await database.execute("DELETE FROM app.technicians WHERE id = $1", id)


async def rename(database: Postgres, id: int, name: str) -> None:
    await database.execute("UPDATE app.technicians SET name = $2 WHERE id = $1", id, name)


async def get(url: str, key: str, **headers: str) -> httpx.Response:
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.get(f"{url}/v1/cache/{key}", headers=headers)


async def name_of(url: str, id: int) -> str:
    response = await get(url, f"technicians:{id}")
    assert response.status_code == 200, response.text
    return str(response.json()["data"]["name"])


async def send(
    method: str, url: str, body: object = None, headers: dict[str, str] = OPERATOR
) -> httpx.Response:
    content = None if body is None else json.dumps(body)
    async with httpx.AsyncClient(timeout=30) as client:
        return await client.request(method, url, content=content, headers=headers)


async def invalidate(url: str, **change: object) -> None:
    response = await send("POST", f"{url}/v1/invalidate", change)
    assert response.status_code == 200, response.text


async def is_cached_everywhere(replicas: tuple[str, str], id: int, name: str) -> None:
    for url in replicas:
        assert await name_of(url, id) == name
        assert (await get(url, f"technicians:{id}")).headers["cache-status"].endswith("detail=l1")


async def becomes(url: str, id: int, name: str) -> None:
    async def look() -> bool:
        return await name_of(url, id) == name

    await eventually(look)


async def uses_redis(url: str) -> None:
    async def look() -> bool:
        return bool((await send("GET", f"{url}/v1/stats")).json()["redis_in_use"])

    await eventually(look)


# The line: a miss is filled, a hit is shared


async def test_a_miss_is_filled_from_postgresql_and_then_both_replicas_hit(
    replicas: tuple[str, str], technician: int
) -> None:
    answers = [await get(url, f"technicians:{technician}") for url in (*replicas, *replicas)]
    assert [answer.headers["x-cache"] for answer in answers] == ["MISS", "HIT", "HIT", "HIT"]
    levels = [answer.headers["cache-status"].rpartition("; ")[2] for answer in answers]
    assert levels == ["stored", "detail=l2", "detail=l1", "detail=l1"]
    assert len({answer.content for answer in answers}) == 1
    body = answers[0].json()
    assert (body["key"], body["ttl_s"], body["data"]["name"]) == (f"technicians:{technician}", 1800, "before")
    assert answers[0].headers["cache-control"] == "public, max-age=1800"


async def test_a_client_that_has_it_gets_a_304_and_head_gets_no_body(
    replicas: tuple[str, str], technician: int
) -> None:
    first = await get(replicas[0], f"technicians:{technician}")
    again = await get(replicas[1], f"technicians:{technician}", **{"If-None-Match": first.headers["etag"]})
    assert (again.status_code, again.content, again.headers["etag"]) == (304, b"", first.headers["etag"])
    head = await send(
        "HEAD", f"{replicas[0]}/cache-service?action=get&key=technicians:{technician}", headers={}
    )
    assert (head.status_code, head.content, head.headers["x-cache"]) == (200, b"", "HIT")
    assert head.headers["content-length"] == str(len(first.content))


async def test_gets_of_a_cold_key_at_once_are_one_fill(replicas: tuple[str, str]) -> None:
    await invalidate(replicas[0], entity="maintenance_requests")

    async def fills() -> float:
        text = (await send("GET", f"{replicas[0]}/metrics")).text
        name = 'signalbox_cache_fill_duration_seconds_count{class="maintenance_requests"}'
        return next(float(line.split()[1]) for line in text.splitlines() if line.startswith(name))

    before = await fills()
    answers = await asyncio.gather(*(get(replicas[0], "maintenance_requests:open") for _ in range(40)))
    assert {answer.status_code for answer in answers} == {200}
    assert await fills() == before + 1
    assert all(request["status"] != "done" for request in answers[0].json()["data"])


# Invalidations reach every replica


async def test_one_record_drops_a_key_in_both_replicas(
    stack: RunningStack,
    replicas: tuple[str, str],
    technician: int,
    database: Postgres,
) -> None:
    await is_cached_everywhere(replicas, technician, "before")
    await rename(database, technician, "after")
    assert [await name_of(url, technician) for url in replicas] == ["before", "before"]

    record = Invalidation(
        id=new_id(), requested_at=SystemClock().now(), entity="technicians", key=str(technician)
    )
    await kafka.put(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"], INVALIDATIONS, [msgspec.json.encode(record)]
    )
    for url in replicas:
        await becomes(url, technician, "after")


@pytest.mark.parametrize(
    "how", ["entity and key", "entity", "pattern", "action with a key", "action with a prefix", "delete"]
)
async def test_whoever_invalidates_reads_the_new_value_at_once_and_the_other_replica_soon(
    how: str, replicas: tuple[str, str], technician: int, database: Postgres
) -> None:
    await is_cached_everywhere(replicas, technician, "before")
    await rename(database, technician, "after")
    here, there = replicas
    match how:
        case "entity and key":
            await invalidate(here, entity="technicians", key=str(technician))
        case "entity":
            await invalidate(here, entity="technicians")
        case "pattern":
            await invalidate(here, pattern="technicians:*")
        case "action with a key":
            await send("GET", f"{here}/cache-service?action=invalidate&key=technicians:{technician}")
        case "action with a prefix":
            await send("GET", f"{here}/cache-service?action=invalidate&key=technicians:*")
        case "delete":
            await send("DELETE", f"{here}/v1/cache/technicians:{technician}")
    assert await name_of(here, technician) == "after"
    await becomes(there, technician, "after")


async def test_a_change_of_one_entity_drops_the_lists_that_it_may_be_on_and_nothing_else(
    replicas: tuple[str, str], technician: int
) -> None:
    for key in ("technicians:all", "technicians:1", "categories:all"):
        await get(replicas[0], key)
    await invalidate(replicas[0], entity="technicians", key=str(technician))
    keys = ("technicians:all", "technicians:1", "categories:all")
    assert [(await get(replicas[0], key)).headers["x-cache"] for key in keys] == ["MISS", "HIT", "HIT"]


async def test_a_value_that_is_set_replaces_the_old_one_in_every_replica(replicas: tuple[str, str]) -> None:
    key = f"api_responses:{new_id()}"
    for number in (1, 2):
        answer = await send("PUT", f"{replicas[0]}/v1/cache/{key}", {"data": {"n": number}, "ttl": 60})
        assert answer.status_code == 200, answer.text

        async def look(number: int = number) -> bool:
            found = await get(replicas[1], key)
            return found.status_code == 200 and found.json()["data"] == {"n": number}

        assert (await get(replicas[0], key)).json()["data"] == {"n": number}
        await eventually(look)
    assert (await get(replicas[1], key)).json()["ttl_s"] == 60


async def test_tags_of_a_value_forget_it(replicas: tuple[str, str]) -> None:
    key, tag = f"api_responses:{new_id()}", f"weather:{new_id()}"
    body = {"key": key, "data": [1], "tags": [tag]}
    await send("POST", f"{replicas[0]}/cache-service?action=set", body)
    assert (await get(replicas[0], key)).status_code == 200
    await invalidate(replicas[0], tags=[tag])
    assert (await get(replicas[0], key)).status_code == 404


async def test_a_poison_record_becomes_one_dead_letter_and_the_next_is_applied(
    stack: RunningStack,
    replicas: tuple[str, str],
    technician: int,
    database: Postgres,
) -> None:
    await is_cached_everywhere(replicas, technician, "before")
    await rename(database, technician, "after")
    poison = b"\xff not json " + new_id().encode()
    record = Invalidation(id=new_id(), requested_at=SystemClock().now(), pattern="technicians:*")
    bootstrap = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    await kafka.put(bootstrap, INVALIDATIONS, [poison, msgspec.json.encode(record)], key=b"k")
    for url in replicas:
        await becomes(url, technician, "after")

    last = b"\xff last " + new_id().encode()
    await kafka.put(bootstrap, INVALIDATIONS, [last])
    dead = TOPICS[INVALIDATIONS.dead_letter or ""]
    await kafka.find(bootstrap, dead, lambda found: found.value == last)
    found = await kafka.find(bootstrap, dead, lambda found: found.value in (poison, last), count=2)
    # both replicas have read the first one when the last one's dead letter is there, or it comes in between
    assert [letter.value for letter in found] == [poison, last]
    headers = dict(found[0].headers)
    assert (found[0].key, headers["dead_letter_reason"], headers["dead_letter_service"]) == (
        b"k",
        b"json",
        b"cache",
    )


# What must not happen


async def test_a_slow_fill_does_not_bring_back_what_an_invalidation_dropped(
    stack: RunningStack,
    logs: Path,
    replicas: tuple[str, str],
    technician: int,
    database: Postgres,
) -> None:
    """PostgreSQL's answer to a fill is held up on its way until the row was changed and invalidated."""
    async with proxied(stack.environment["POSTGRES_DSN"]) as (postgres, dsn):
        environment = {**stack.environment, **PATIENT, "POSTGRES_DSN": dsn}
        async with running(ServiceProcess("cache", environment, logs / "cache-slow.log")) as slow:
            await get(slow.url, "technicians:1")  # so that the statement is prepared
            await invalidate(replicas[0], entity="technicians", key=str(technician))
            postgres.hold()
            fill = asyncio.create_task(get(slow.url, f"technicians:{technician}"))
            await postgres.held.wait()
            await rename(database, technician, "after")
            await invalidate(replicas[0], entity="technicians", key=str(technician))
            postgres.release()

            answer = await fill
            assert answer.json()["data"]["name"] == "before"  # it began before the change
            assert "stored" not in answer.headers["cache-status"]
            assert await name_of(slow.url, technician) == "after"
            assert await name_of(replicas[0], technician) == "after"


async def test_what_was_said_while_no_replica_ran_is_forgotten_before_one_answers(
    stack: RunningStack, logs: Path, technician: int, database: Postgres
) -> None:
    environment = {**stack.environment, "REDIS_URL": in_database(stack, 1)}
    with ServiceProcess("cache", environment, logs / "cache-gap.log") as replica:
        assert await name_of(replica.url, technician) == "before"
    await rename(database, technician, "after")
    record = Invalidation(id=new_id(), requested_at=SystemClock().now(), entity="technicians")
    await kafka.put(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"], INVALIDATIONS, [msgspec.json.encode(record)]
    )
    with ServiceProcess("cache", environment, logs / "cache-gap.log") as replica:
        assert (await get(replica.url, "technicians:1")).status_code == 200
        assert await name_of(replica.url, technician) == "after"


@pytest.mark.fault
async def test_without_redis_a_replica_answers_and_an_invalidation_of_that_time_is_not_lost(
    stack: RunningStack, logs: Path, technician: int, database: Postgres
) -> None:
    async with proxied(in_database(stack, 2)) as (redis, url):
        environment = {**stack.environment, "REDIS_URL": url, "SIGNALBOX_CACHE_L1_TTL_S": "0"}
        async with running(ServiceProcess("cache", environment, logs / "cache-redis.log")) as replica:
            assert await name_of(replica.url, technician) == "before"
            assert (await get(replica.url, f"technicians:{technician}")).headers["x-cache"] == "HIT"

            await redis.cut()
            answer = await get(replica.url, f"technicians:{technician}")
            assert answer.status_code == 200
            assert answer.headers["warning"].startswith("199 ")
            assert (
                await send("PUT", f"{replica.url}/v1/cache/api_responses:x", {"data": 1})
            ).status_code == 503
            await rename(database, technician, "after")
            await invalidate(replica.url, entity="technicians")
            assert await name_of(replica.url, technician) == "after"

            await redis.restore()
            await uses_redis(replica.url)
            answer = await get(replica.url, f"technicians:{technician}")
            assert answer.json()["data"]["name"] == "after"  # Redis still held the old one when it came back
            assert "warning" not in answer.headers


@pytest.mark.fault
async def test_a_redis_that_restarts_with_older_data_brings_nothing_back(
    stack: RunningStack, logs: Path, technician: int, database: Postgres
) -> None:
    """Redis gets back what it held before an invalidation, as from its file, and is another process by its run id."""
    address = in_database(stack, 4)
    async with proxied(address) as (wire, url), Redis.from_url(address) as redis:
        environment = {**stack.environment, "REDIS_URL": url, "SIGNALBOX_CACHE_L1_TTL_S": "0"}
        async with running(ServiceProcess("cache", environment, logs / "cache-restart.log")) as replica:
            assert await name_of(replica.url, technician) == "before"
            keys = await redis.keys("signalbox:cache:*")
            file = {key: value for key in keys if (value := await redis.dump(key)) is not None}
            await rename(database, technician, "after")
            await invalidate(replica.url, entity="technicians")
            assert await name_of(replica.url, technician) == "after"

            await wire.cut()
            await redis.flushdb()
            for key, value in file.items():
                await redis.restore(key, 600_000, value)
            await redis.hset("signalbox:cache:state", "=run", "the process before")
            await wire.restore()
            await uses_redis(replica.url)
            assert await name_of(replica.url, technician) == "after"


@pytest.mark.fault
async def test_without_postgresql_what_is_cached_is_answered_and_the_rest_is_a_503(
    stack: RunningStack, logs: Path, technician: int
) -> None:
    async with (
        proxied(stack.environment["POSTGRES_DSN"]) as (postgres, dsn),
        proxied(in_database(stack, 3)) as (redis, redis_url),
    ):
        environment = {
            **stack.environment,
            "POSTGRES_DSN": dsn,
            "REDIS_URL": redis_url,
            "SIGNALBOX_CACHE_L1_TTL_S": "0",
        }
        async with running(ServiceProcess("cache", environment, logs / "cache-postgres.log")) as replica:
            await get(replica.url, f"technicians:{technician}")
            await postgres.cut()
            assert (await get(replica.url, f"technicians:{technician}")).headers["x-cache"] == "HIT"
            absent = await get(replica.url, "properties:all")
            assert (absent.status_code, absent.headers["retry-after"]) == (503, "1")
            assert absent.headers["content-type"] == "application/problem+json"
            assert (await send("GET", f"{replica.url}/readyz")).status_code == 200

            await redis.cut()
            stale = await get(replica.url, f"technicians:{technician}")
            assert (stale.status_code, stale.headers["x-cache"]) == (200, "STALE")
            assert (await send("GET", f"{replica.url}/readyz")).status_code == 503

            await postgres.restore()
            assert (await get(replica.url, "properties:all")).status_code == 200


# The edge


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "/v1/cache/technicians", None, 422),
        ("GET", "/v1/cache/technicians:*", None, 422),
        ("GET", "/v1/cache/technicians:a%0A", None, 422),
        ("GET", "/v1/cache/unknown:1", None, 404),
        ("GET", "/v1/cache/technicians:0", None, 404),
        ("GET", "/v1/cache/api_responses:nobody-set-this", None, 404),
        ("GET", "/cache-service?action=drop&key=technicians:1", None, 422),
        ("GET", "/cache-service?action=get", None, 422),
        ("GET", "/cache-service?action=invalidate&key=*", None, 422),
        ("GET", "/cache-service?action=invalidate&key=tech*", None, 422),
        ("HEAD", "/cache-service?action=invalidate&key=technicians:1", None, 422),
        ("POST", "/v1/invalidate", b"{}", 422),
        ("POST", "/v1/invalidate", b'{"key":"1"}', 422),
        ("POST", "/v1/invalidate", b'{"pattern":"*"}', 422),
        ("POST", "/v1/invalidate", b"{", 400),
        ("PUT", "/v1/cache/api_responses:x", b'{"ttl":1}', 422),
        ("PUT", "/v1/cache/api_responses:x", b'{"data":1,"ttl":0}', 422),
        ("PUT", "/v1/cache/api_responses:x", b'{"data":1,"ttl":86401}', 422),
        ("PUT", "/v1/cache/api_responses:x", b'{"data":"\xff"}', 400),
        ("PUT", "/v1/cache/api_responses:x", b'{"data":' + b"[" * 50_000, 400),
        ("PUT", "/v1/cache/api_responses:x", b'{"data":"' + b"x" * 1_100_000 + b'"}', 413),
        ("PUT", "/v1/cache/api_responses:x", b"x" * 20_000_000, 413),
    ],
    ids=lambda value: value[:40].decode(errors="replace") if isinstance(value, bytes) else None,
)
async def test_what_is_wrong_with_a_request_is_a_problem(
    replicas: tuple[str, str], method: str, path: str, body: bytes | None, status: int
) -> None:
    async with httpx.AsyncClient(timeout=30) as client:
        answer = await client.request(method, replicas[0] + path, content=body, headers=OPERATOR)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    assert method == "HEAD" or answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/cache-service?action=invalidate&key=technicians:1"),
        ("POST", "/cache-service?action=set"),
        ("PUT", "/v1/cache/api_responses:x"),
        ("DELETE", "/v1/cache/api_responses:x"),
        ("POST", "/v1/invalidate"),
    ],
)
async def test_whoever_changes_something_shows_the_secret_key(
    replicas: tuple[str, str], method: str, path: str
) -> None:
    statuses = [
        (await send(method, replicas[0] + path, {}, headers)).status_code
        for headers in ({}, {"Authorization": "Bearer nobody"}, {"Authorization": f"Bearer {PUBLIC_KEY}"})
    ]
    assert statuses == [401, 401, 403]


async def test_stats_count_by_class(replicas: tuple[str, str], technician: int) -> None:
    async def of_technicians() -> dict[str, Any]:
        stats = (await send("GET", f"{replicas[0]}/cache-service?action=stats", headers={})).json()
        found: dict[str, Any] = stats["classes"]["technicians"]
        return found

    before = await of_technicians()
    for _ in range(3):
        await get(replicas[0], f"technicians:{technician}")
    after = await of_technicians()
    assert {name: after[name] - before[name] for name in ("misses", "hits_l1", "hits_l2")} == {
        "misses": 1,
        "hits_l1": 2,
        "hits_l2": 0,
    }


async def test_prometheus_finds_nothing_wrong_with_the_metrics(replicas: tuple[str, str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not installed")
    text = (await send("GET", f"{replicas[0]}/metrics")).text
    command = [promtool, "check", "metrics"]
    checked = await asyncio.to_thread(
        subprocess.run, command, input=text, capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_a_replica_says_in_one_line_why_it_cannot_start(
    stack: RunningStack, replicas: tuple[str, str]
) -> None:
    port = str(urlsplit(replicas[0]).port)
    for changed, said in (
        ({"SIGNALBOX_CACHE_PORT": port}, "SIGNALBOX_CACHE_PORT"),
        ({"SIGNALBOX_CACHE_PORT": "0", "SIGNALBOX_CACHE_L1_TTL_S": "soon"}, "SIGNALBOX_CACHE_L1_TTL_S"),
    ):
        ended = subprocess.run(
            [sys.executable, "-m", "services.cache"],
            env={**stack.environment, **changed},
            cwd=PROJECT,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        assert ended.returncode == 1
        assert ended.stderr.count("\n") == 1
        assert said in ended.stderr


def test_a_replica_that_is_told_to_stop_ends_well(stack: RunningStack, logs: Path) -> None:
    replica = ServiceProcess("cache", stack.environment, logs / "cache-stop.log").start()
    assert replica.stop() == 0


# Between a replica and its servers


class Wire:
    """A TCP proxy: it can hold back what the server says, and be cut."""

    def __init__(self, host: str, port: int) -> None:
        self._target = (host, port)
        self._server: asyncio.Server | None = None
        self._writers: set[asyncio.StreamWriter] = set()
        self._flowing = asyncio.Event()
        self._flowing.set()
        self.port = 0
        #: Set when the server has said something that is being held back.
        self.held = asyncio.Event()

    def hold(self) -> None:
        self.held.clear()
        self._flowing.clear()

    def release(self) -> None:
        self._flowing.set()

    async def cut(self) -> None:
        assert self._server is not None
        self._server.close()
        for writer in list(self._writers):
            writer.transport.abort()
        await self._server.wait_closed()

    async def restore(self) -> None:
        self._server = await asyncio.start_server(self._connect, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def _connect(
        self, client_reader: asyncio.StreamReader, client_writer: asyncio.StreamWriter
    ) -> None:
        server_reader, server_writer = await asyncio.open_connection(*self._target)
        self._writers |= {client_writer, server_writer}
        try:
            await asyncio.gather(
                self._carry(client_reader, server_writer, held=False),
                self._carry(server_reader, client_writer, held=True),
            )
        finally:
            self._writers -= {client_writer, server_writer}

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, held: bool) -> None:
        try:
            while data := await reader.read(65_536):
                if held and not self._flowing.is_set():
                    self.held.set()
                    await self._flowing.wait()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        writer.close()


@asynccontextmanager
async def proxied(url: str) -> AsyncIterator[tuple[Wire, str]]:
    """A wire to a server, and the server's address by that way."""
    parts = urlsplit(url)
    assert parts.port is not None
    wire = Wire(parts.hostname or "127.0.0.1", parts.port)
    await wire.restore()
    account = parts.netloc.rpartition("@")[0]
    netloc = f"{account}@127.0.0.1:{wire.port}" if account else f"127.0.0.1:{wire.port}"
    try:
        yield wire, parts._replace(netloc=netloc).geturl()
    finally:
        wire.release()
        await wire.cut()


@asynccontextmanager
async def running(service: ServiceProcess) -> AsyncIterator[ServiceProcess]:
    """A service whose wires are in this process: the loop must go on while it starts and stops."""
    await asyncio.to_thread(service.start)
    try:
        yield service
    finally:
        await asyncio.to_thread(service.__exit__)


def in_database(stack: RunningStack, number: int) -> str:
    """Redis, in a database of its own."""
    return urlsplit(stack.environment["REDIS_URL"])._replace(path=f"/{number}").geturl()
