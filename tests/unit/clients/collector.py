"""A real HTTP server that stands in for ingest where a test is about the client alone.

It records every request, answers 202 unless told otherwise, and can serve files. What ingest does with the
requests is the business of ingest's tests, and of `make demo`.
"""

import json
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import parse_qs, urlsplit


@dataclass(frozen=True)
class Request:
    """One request as it arrived; `at` is `time.monotonic()`."""

    method: str
    path: str
    query: Mapping[str, str]
    headers: Mapping[str, str]
    body: bytes
    at: float

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass(frozen=True)
class Answer:
    """What to answer a POST with; `body` is JSON, and None echoes the ids of what was sent."""

    status: int = 202
    headers: Mapping[str, str] = field(default_factory=dict)
    body: object = None


class Collector:
    """Listens on the loopback interface, on a free port unless one is given, from `with` to its end."""

    def __init__(self, port: int = 0) -> None:
        #: Answers to the next POSTs, first to first; afterwards everything is accepted.
        self.answers: deque[Answer] = deque()
        #: Path to (content type, bytes), for GET.
        self.files: dict[str, tuple[str, bytes]] = {}
        self._requests: list[Request] = []
        self._arrived = threading.Condition()
        self._server = ThreadingHTTPServer(("127.0.0.1", port), _handler(self))
        self._thread = threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02})

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    @property
    def requests(self) -> list[Request]:
        """Every request but GETs, in order of arrival."""
        with self._arrived:
            return list(self._requests)

    @property
    def events(self) -> list[dict[str, Any]]:
        """Every event that was sent, in order of arrival, sent again or not."""
        return [event for request in self.requests for event in _items(request)]

    def of_type(self, kind: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event["type"] == kind]

    def wait_until(self, met: Callable[["Collector"], object], timeout_s: float = 10.0) -> None:
        """Return as soon as `met` is true; it is looked at whenever a request has arrived.

        Raises AssertionError that lists what arrived, after `timeout_s`.
        """
        with self._arrived:
            if not self._arrived.wait_for(lambda: met(self), timeout_s):
                raise AssertionError(f"not within {timeout_s} s; arrived: {self._requests}")

    def record(self, request: Request) -> Answer:
        with self._arrived:
            self._requests.append(request)
            answer = self.answers.popleft() if request.method == "POST" and self.answers else Answer()
            self._arrived.notify_all()
        return answer

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


def _items(request: Request) -> list[dict[str, Any]]:
    if request.method != "POST" or not request.body:
        return []
    body = request.json()
    items = body["events"] if isinstance(body, dict) and "events" in body else body
    return items if isinstance(items, list) else [items]


def _handler(collector: Collector) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            kind, content = collector.files.get(urlsplit(self.path).path, ("", b""))
            self._answer(200 if kind else 404, {"Content-Type": kind or "text/plain"}, content)

        def do_POST(self) -> None:
            request = self._take()
            answer = collector.record(request)
            body = answer.body
            if body is None:
                ids = [item.get("id") for item in _items(request)]
                body = {"accepted": len(ids), "ids": ids, "rejected": []}
            cors = {"Access-Control-Allow-Origin": "*", "Access-Control-Expose-Headers": "Retry-After"}
            headers = {"Content-Type": "application/json", **cors, **answer.headers}
            self._answer(answer.status, headers, json.dumps(body).encode())

        def do_OPTIONS(self) -> None:
            collector.record(self._take())
            self._answer(405, {}, b"")

        def _take(self) -> Request:
            split = urlsplit(self.path)
            query = {name: values[0] for name, values in parse_qs(split.query).items()}
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
            headers = {name.lower(): value for name, value in self.headers.items()}
            return Request(self.command, split.path, query, headers, body, time.monotonic())

        def _answer(self, status: int, headers: Mapping[str, str], body: bytes) -> None:
            try:
                self.send_response(status)
                for name, value in headers.items():
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            except (BrokenPipeError, ConnectionResetError):
                self.close_connection = True  # A page that left does not wait for the answer to its beacon.

        def log_message(self, format: str, *args: object) -> None:
            """Say nothing: pytest shows the requests when a test fails."""

    return Handler
