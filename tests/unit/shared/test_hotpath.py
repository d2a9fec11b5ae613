"""Hot routes: what they answer, what they leave to FastAPI, and that FastAPI gets it whole."""

import asyncio
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import h11
import httpx
import pytest
import uvicorn
from fastapi import Request, Response
from starlette.types import Message, Scope

from shared import hotpath, http, metrics
from shared.hotpath import Answer, HotApp


class Upper:
    """Answers `POST /upper` with the body in upper case; leaves bodies that start with `?` to FastAPI."""

    method, path, body_bytes_max = "POST", "/upper", 1_000

    def recognize(self, scope: Scope, headers: dict[bytes, bytes]) -> str | None:
        return None if b"x-odd" in headers or scope["query_string"] else "hot"

    async def answer(self, head: str, body: bytes) -> Answer | None:
        if body == b"defect":
            raise ValueError("a defect")
        if body.startswith(b"?"):
            return None
        return Answer(200, [(b"content-length", b"%d" % len(body)), (b"x-by", head.encode())], body.upper())


@pytest.fixture(scope="module")
def app() -> HotApp:
    app = HotApp()

    @app.post("/upper")
    async def upper(request: Request) -> Response:
        return Response((await request.body()).upper(), headers={"x-by": "fastapi"})

    http.install(app, service="hotpath_test", checks={})
    app.install_hot([Upper()], metrics.http_metrics("hotpath_test"))
    return app


@pytest.fixture
async def client(app: HotApp) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://test") as client:
        yield client


async def test_what_it_recognizes_is_answered_by_the_hot_route(client: httpx.AsyncClient) -> None:
    response = await client.post("/upper", content=b"text")
    assert (response.status_code, response.content, response.headers["x-by"]) == (200, b"TEXT", "hot")


@pytest.mark.parametrize(
    ("query", "headers", "body"),
    [
        ("?a=b", {}, b"text"),
        ("", {"X-Odd": "1"}, b"text"),
        ("", {}, b"?text"),
        ("", {}, b"x" * 1_001),
        ("", [("X-Same", "1"), ("X-Same", "2")], b"text"),
    ],
)
async def test_the_rest_is_answered_by_fastapi(
    client: httpx.AsyncClient, query: str, headers: Any, body: bytes
) -> None:
    response = await client.post("/upper" + query, content=body, headers=headers)
    assert (response.content, response.headers["x-by"]) == (body.upper(), "fastapi")


async def test_other_methods_and_paths_are_fastapis(client: httpx.AsyncClient) -> None:
    assert (await client.get("/upper")).status_code == 405
    assert (await client.post("/upper/", follow_redirects=False)).status_code == 307
    assert (await client.get("/livez")).status_code == 200


async def test_a_defect_is_answered_as_fastapi_would(client: httpx.AsyncClient) -> None:
    response = await client.post("/upper", content=b"defect")
    assert response.status_code == 500
    assert response.headers["content-type"] == http.PROBLEM_JSON
    assert "a defect" not in response.text


async def request(app: HotApp, receive: Callable[[], Awaitable[Message]], length: int) -> tuple[str, bytes]:
    """Who answers a request whose body comes by `receive`, and what."""
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"content-length", b"%d" % length)]
    scope = {"type": "http", "method": "POST", "path": "/upper", "query_string": b"", "headers": headers}
    await app(scope, receive, send)
    start, body = sent
    return dict(start["headers"])[b"x-by"].decode(), body["body"]


def part(text: bytes, *, more: bool) -> Message:
    return {"type": "http.request", "body": text, "more_body": more}


async def test_a_body_may_come_in_parts_and_after_its_head(app: HotApp) -> None:
    parts: asyncio.Queue[Message] = asyncio.Queue()
    answered = asyncio.create_task(request(app, parts.get, 8))
    for text, more in ((b"in ", True), (b"parts", False)):
        await asyncio.sleep(0)  # so that it waits for each
        parts.put_nowait(part(text, more=more))
    assert await answered == ("hot", b"IN PARTS")


async def test_a_slow_body_is_waited_for_by_fastapi(app: HotApp, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hotpath, "BODY_WAIT_S", 0.01)
    begun, parts = asyncio.Event(), iter([part(b"s", more=True), part(b"low", more=False)])
    waits = 0

    async def receive() -> Message:
        nonlocal waits
        waits += 1
        if waits == 2:
            begun.set()
            await asyncio.Event().wait()
        return next(parts)

    assert await request(app, receive, 4) == ("fastapi", b"SLOW")
    assert begun.is_set()


@pytest.fixture
async def address(app: HotApp) -> AsyncIterator[tuple[str, int]]:
    """Where uvicorn serves the app."""
    server = uvicorn.Server(
        uvicorn.Config(app, http="httptools", lifespan="off", log_config=None, access_log=False)
    )
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = asyncio.create_task(server.serve(sockets=[listener]))
        yield listener.getsockname()
        server.should_exit = True
        await serving


async def exchange(
    address: tuple[str, int], sent: bytes, answers: int
) -> list[tuple[int, dict[str, str], bytes]]:
    """The answers to requests that are sent at once on one connection, which is then closed."""
    reader, writer = await asyncio.open_connection(*address)
    writer.write(sent)
    parser, got = h11.Connection(h11.CLIENT), []
    for _ in range(answers):
        parser.send(h11.Request(method="POST", target="/upper", headers=[("host", "x")]))
        parser.send(h11.EndOfMessage())
        status, headers, body = 0, {}, b""
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                parser.receive_data(await reader.read(65_536))
            elif isinstance(event, h11.Response):
                status = event.status_code
                headers = {name.decode(): value.decode() for name, value in event.headers}
            elif isinstance(event, h11.Data):
                body += event.data
        got.append((status, headers, bytes(body)))
        if parser.our_state is h11.DONE:
            parser.start_next_cycle()
    writer.close()
    await writer.wait_closed()
    return got


async def test_pipelined_requests_are_answered_in_turn_by_both_ways(address: tuple[str, int]) -> None:
    bodies = [b"one", b"?two", b"three", b"defect", b"?five", b"six"]
    requests = b"".join(
        b"POST /upper HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
        for body in bodies
    )
    answers = await exchange(address, requests, len(bodies))
    assert [status for status, _, _ in answers] == [200, 200, 200, 500, 200, 200]
    assert [body for status, _, body in answers if status == 200] == [
        b"ONE",
        b"?TWO",
        b"THREE",
        b"?FIVE",
        b"SIX",
    ]
    assert [headers.get("x-by") for _, headers, _ in answers] == [
        "hot",
        "fastapi",
        "hot",
        None,
        "fastapi",
        "hot",
    ]
    assert all("date" in headers for _, headers, _ in answers)


async def test_a_connection_is_closed_when_the_client_wants_that(address: tuple[str, int]) -> None:
    reader, writer = await asyncio.open_connection(*address)
    writer.write(b"POST /upper HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 3\r\n\r\nend")
    answer = await asyncio.wait_for(reader.read(), 10)
    assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
    assert b"connection: close" in answer
    assert answer.endswith(b"END")
    writer.close()


async def test_both_ways_are_counted_as_one_route(client: httpx.AsyncClient) -> None:
    def counted(exposition: str) -> float:
        series = 'signalbox_hotpath_test_http_requests_total{method="POST",route="/upper",status="200"} '
        return float(exposition.split(series)[1].split("\n")[0]) if series in exposition else 0.0

    before = counted((await client.get("/metrics")).text)
    await client.post("/upper", content=b"hot")
    await client.post("/upper", content=b"?cold")
    assert counted((await client.get("/metrics")).text) == before + 2
