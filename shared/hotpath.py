"""Hot routes: an app answers a few declared ones itself, and FastAPI everything else.

FastAPI's routing costs about 90 µs a request, four times what the whole server needs without it. So `HotApp` looks
at a request before FastAPI does. A hot route answers only what it recognizes exactly, and what goes well: whatever
else it meets (another method, a header that it does not know how to honour, a body that comes slowly or is not
valid) goes to FastAPI's route of the same path, untouched, and is answered as if there were no hot route. So each
error has one place that words it, and the OpenAPI document describes both.
"""

import asyncio
import time
from collections.abc import Awaitable, Coroutine, Generator, Iterable, Mapping
from typing import Any, Generic, NamedTuple, Protocol, TypeVar

from fastapi import FastAPI, Request, Response
from starlette.types import Message, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, RequestResponseCycle

from shared.metrics import HttpMetrics

#: How long a hot route waits for the rest of a body; then FastAPI's route does, by its own limits.
BODY_WAIT_S = 1.0

_DIGITS_MAX = 10  # no body is that long

Headers = dict[bytes, bytes]
R = TypeVar("R")


class Answer(NamedTuple):
    """A whole response; `headers` are in lower case, and Content-Length is among them."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: bytes

    @classmethod
    def of(cls, response: Response) -> "Answer":
        """The same as a response that has all of its body."""
        return cls(response.status_code, response.raw_headers, bytes(response.body))


class HotRoute(Protocol, Generic[R]):
    """What answers the plain case of one FastAPI route. `R` is what it reads from a request's head."""

    @property
    def method(self) -> str:
        """The only one that it answers."""

    @property
    def path(self) -> str:
        """Without parameters: it is compared as it is."""

    @property
    def body_bytes_max(self) -> int:
        """Larger bodies go to FastAPI; 0 where requests have none."""

    def recognize(self, scope: Scope, headers: Headers) -> R | None:
        """What the request's head says; None leaves the request to FastAPI."""

    async def answer(self, head: R, body: bytes) -> Answer | None:
        """The answer; None leaves the request to FastAPI, and then nothing may have happened yet.

        Once something happened every outcome is an answer; what it raises is a defect, and answered as one.
        """


class HotApp(FastAPI):
    """A FastAPI app with hot routes."""

    _hot: Mapping[str, HotRoute[Any]] = {}

    def install_hot(self, routes: Iterable[HotRoute[Any]], http_metrics: HttpMetrics) -> None:
        """Let `routes` answer first; they are counted in `http_metrics`, as FastAPI's are.

        The app has an exception handler for Exception (`shared.http.install`): it answers their defects too.
        """
        self._hot = {route.path: route for route in routes}
        self._http_metrics = http_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """ASGI: a request goes to its hot route, and to FastAPI when there is none, or when that passes it on."""
        route = self._hot.get(scope["path"]) if scope["type"] == "http" else None
        if route is None or scope["method"] != route.method:
            await super().__call__(scope, receive, send)
            return
        headers: Headers = dict(scope["headers"])
        # Of a header given twice the dictionary has one, and who knows which: that is FastAPI's question.
        head = route.recognize(scope, headers) if len(headers) == len(scope["headers"]) else None
        length = _content_length(headers) if route.body_bytes_max else 0
        if head is None or not 0 <= length <= route.body_bytes_max:
            await super().__call__(scope, receive, send)
            return
        await self._serve(route, head, length, scope, receive, send)

    async def _serve(
        self, route: HotRoute[R], head: R, length: int, scope: Scope, receive: Receive, send: Send
    ) -> None:
        started = time.perf_counter()
        body, messages = await _read(receive, length) if length else (b"", [])
        if body is None:
            await super().__call__(scope, _Replay(messages, receive), send)
            return
        try:
            answer = await route.answer(head, body)
        except Exception as error:  # noqa: BLE001 - the edge: FastAPI would answer it in the same way
            answered = self.exception_handlers[Exception](Request(scope), error)
            answer = Answer.of(await answered if isinstance(answered, Awaitable) else answered)
        if answer is None:
            await super().__call__(scope, _Replay(messages, receive), send)
            return
        if not _write(send, answer):
            await send({"type": "http.response.start", "status": answer.status, "headers": answer.headers})
            await send({"type": "http.response.body", "body": answer.body})
        seconds = time.perf_counter() - started
        self._http_metrics.answered(route.method, route.path, answer.status, seconds=seconds)


def _write(send: Send, answer: Answer) -> bool:
    """Write an answer in one piece, as uvicorn 0.54's `send` would in two calls that check each field; else False.

    Only where nothing is special: another server, a client that is gone or does not read, or one that wants the
    connection closed get their answer by `send`.
    """
    cycle = getattr(send, "__self__", None)
    if (
        type(cycle) is not RequestResponseCycle
        or not cycle.keep_alive
        or cycle.disconnected
        or cycle.response_started
        or cycle.flow.write_paused
        or cycle.access_log
    ):
        return False
    lines = [STATUS_LINE[answer.status]]
    for name, value in (*cycle.default_headers, *answer.headers):
        lines += (name, b": ", value, b"\r\n")
    lines += (b"\r\n", answer.body)
    cycle.response_started = cycle.response_complete = True
    cycle.waiting_for_100_continue = False
    cycle.transport.write(b"".join(lines))
    cycle.message_event.set()
    cycle.on_response()
    return True


async def _read(receive: Receive, length: int) -> tuple[bytes | None, list[Message]]:
    """The body of `length` bytes if it comes within BODY_WAIT_S, else None; and what was read, to be read again."""
    first = receive()
    assert isinstance(first, Coroutine)
    messages: list[Message] = []
    try:
        waits_for = first.send(None)
    except (
        StopIteration
    ) as end:  # it came together with the head: most do, and a timer costs more than all of this
        messages.append(end.value)
        rest = None
    else:
        rest = _Begun(first, waits_for)
    try:
        if rest is not None or messages[0].get("more_body"):
            async with asyncio.timeout(BODY_WAIT_S):
                if rest is not None:
                    messages.append(await rest)
                while messages[-1].get("more_body"):
                    messages.append(await receive())
    except TimeoutError:
        return None, messages
    if messages[-1]["type"] != "http.request":  # the client went away
        return None, messages
    body = messages[0]["body"] if len(messages) == 1 else b"".join(message["body"] for message in messages)
    return (body if len(body) == length else None), messages


class _Begun(Awaitable[Message]):
    """A coroutine that was run to where it first waits, for `waits_for`."""

    def __init__(self, coroutine: Coroutine[Any, Any, Message], waits_for: Any) -> None:
        self._coroutine = coroutine
        self._waits_for = waits_for

    def __await__(self) -> Generator[Any, Any, Message]:
        """The rest of it, as `await` would run it."""
        waits_for = self._waits_for
        try:
            while True:
                try:
                    sent = yield waits_for
                except BaseException as error:  # noqa: BLE001 - it is thrown on, to where it belongs
                    waits_for = self._coroutine.throw(error)
                else:
                    waits_for = self._coroutine.send(sent)
        except StopIteration as end:
            message: Message = end.value
            return message


class _Replay:
    """Receives once more what was read already, and then what follows."""

    def __init__(self, messages: list[Message], receive: Receive) -> None:
        self._messages = messages[::-1]
        self._receive = receive

    async def __call__(self) -> Message:
        return self._messages.pop() if self._messages else await self._receive()


def _content_length(headers: Headers) -> int:
    """The declared length of the body; -1 when there is none, as with chunks."""
    declared = headers.get(b"content-length", b"")
    return int(declared) if declared.isdigit() and len(declared) < _DIGITS_MAX else -1
