"""Heads and bodies over their limits of size and time, over real connections to a real uvicorn."""

import asyncio
import contextlib
import json
import time
from collections.abc import AsyncIterator

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from services.ingest import slow_clients
from tests.support.waiting import eventually
from tests.unit.ingest.doubles import settings

SETTINGS = settings(head_bytes_max=4_096, head_fields_max=20, head_timeout_s=0.3, body_timeout_s=0.3)
GET = b"GET / HTTP/1.1\r\nHost: ingest\r\n"
POST = b"POST / HTTP/1.1\r\nHost: ingest\r\nContent-Length: 10\r\n\r\n"


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answers 200 with the body's length once it has it all; at once for /early."""
    length, more = 0, scope["path"] != "/early"
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            return
        length += len(message["body"])
        more = message.get("more_body", False)
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"1")]})
    await send({"type": "http.response.body", "body": b"%d" % (length % 10)})


class Connection:
    """One TCP connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, data: bytes) -> None:
        self.writer.write(data)

    async def answer(self) -> tuple[int, bytes]:
        async with asyncio.timeout(5):
            head = await self._reader.readuntil(b"\r\n\r\n")
            length = int(head.lower().partition(b"content-length: ")[2].split(b"\r\n")[0])
            return int(head.split()[1]), await self._reader.readexactly(length)

    async def problem(self, status: int) -> None:
        """Expect a problem, and the end of the connection."""
        given, body = await self.answer()
        assert (given, json.loads(body)["status"]) == (status, status)
        await self.closed()

    async def closed(self) -> None:
        async with asyncio.timeout(5):
            assert await self._reader.read() == b""


@pytest.fixture(scope="module")
async def port() -> AsyncIterator[int]:
    config = uvicorn.Config(
        app,
        port=0,
        http=slow_clients.protocol(SETTINGS),
        ws="none",
        lifespan="off",
        log_config=None,
        timeout_keep_alive=1,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    serving = asyncio.create_task(server._serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    yield server.servers[0].sockets[0].getsockname()[1]
    server.should_exit = True
    await serving


@pytest.fixture
async def connection(port: int) -> AsyncIterator[Connection]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    yield Connection(reader, writer)
    writer.close()
    with contextlib.suppress(ConnectionError):
        await writer.wait_closed()


async def test_requests_within_the_limits_are_served_one_after_the_other(connection: Connection) -> None:
    for _ in range(3):
        connection.send(POST + b"0123456789")
        assert await connection.answer() == (200, b"0")
    connection.send(GET + b"\r\n" + GET + b"\r\n")
    assert [await connection.answer(), await connection.answer()] == [(200, b"0")] * 2


async def test_a_head_and_a_body_may_come_in_pieces(connection: Connection) -> None:
    for piece in (POST[:7], POST[7:30], POST[30:], b"01234", b"56789"):
        connection.send(piece)
        await asyncio.sleep(0.02)
    assert await connection.answer() == (200, b"0")


@pytest.mark.parametrize(
    "head",
    [
        GET + b"X: " + b"x" * 5_000 + b"\r\n\r\n",
        GET + b"X: " + b"x" * 500_000,
        GET + b"".join(b"X-%d: x\r\n" % n for n in range(50)) + b"\r\n",
        GET + b"".join(b"X-%d: x\r\n" % n for n in range(20_000)) + b"\r\n",
        b"GET /" + b"x" * 5_000 + b" HTTP/1.1\r\n\r\n",
    ],
    ids=["long field", "endless field", "50 fields", "20000 fields", "long path"],
)
async def test_a_head_over_its_limits_is_refused(connection: Connection, head: bytes) -> None:
    connection.send(head)
    await connection.problem(431)


async def test_a_head_in_pieces_is_refused_as_soon_as_it_is_over_its_limits(connection: Connection) -> None:
    connection.send(GET)
    with contextlib.suppress(ConnectionError):
        for _ in range(50):
            connection.send(b"X: " + b"x" * 200 + b"\r\n")
            await asyncio.sleep(0.001)
    await connection.problem(431)


@pytest.mark.parametrize("piece", [b"G", GET, GET + b"X: x", b"\r\n"])
async def test_a_head_that_does_not_end_is_cut_off(connection: Connection, piece: bytes) -> None:
    started = time.monotonic()
    connection.send(piece)
    await connection.problem(408)
    assert time.monotonic() - started < 0.3 + 2.0


async def test_a_head_that_trickles_buys_no_time(connection: Connection) -> None:
    started = time.monotonic()
    connection.send(GET)
    with contextlib.suppress(ConnectionError):
        for n in range(12):
            connection.send(b"X-%d: x\r\n" % n)
            await asyncio.sleep(0.05)
    await connection.problem(408)
    assert time.monotonic() - started < 0.3 + 2.0


async def test_a_body_that_trickles_is_cut_off(connection: Connection) -> None:
    started = time.monotonic()
    connection.send(POST)
    with contextlib.suppress(ConnectionError):
        for _ in range(9):
            connection.send(b"x")
            await asyncio.sleep(0.15)
    await connection.problem(408)
    assert time.monotonic() - started < 0.3 + 2.0


async def test_a_body_after_its_answer_has_no_longer_either(connection: Connection) -> None:
    connection.send(POST.replace(b"/ ", b"/early "))
    assert await connection.answer() == (200, b"0")
    connection.send(b"01234")
    await connection.closed()


async def test_a_connection_that_sends_nothing_is_closed_as_an_idle_one(connection: Connection) -> None:
    await connection.closed()


async def test_what_is_not_http_is_answered_with_a_problem(connection: Connection) -> None:
    connection.send(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    await connection.problem(400)


@pytest.mark.parametrize(
    "fields",
    [
        b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
        b"Content-Length: 5\r\nContent-Length: 6\r\n",
        b"Content-Length: -1\r\n",
        b"Transfer-Encoding: chunked, identity\r\n",
    ],
)
async def test_a_body_of_two_lengths_is_refused(connection: Connection, fields: bytes) -> None:
    """What one server takes for a body, another takes for a request: smuggling."""
    connection.send(b"POST / HTTP/1.1\r\nHost: ingest\r\n" + fields + b"\r\n0\r\n\r\nGET /")
    await connection.problem(400)
