"""Somebody's webhook on this machine."""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any


@dataclass
class Webhook:
    """Answers with each of `statuses` in turn, then 200, once `open` is set; keeps what it was sent."""

    statuses: list[int]
    url: str = ""
    open: Event = field(default_factory=Event)
    calls: list[dict[str, Any]] = field(default_factory=list)


@contextmanager
def webhook(statuses: Sequence[int] = (), *, is_open: bool = True) -> Iterator[Webhook]:
    """A webhook that runs as long as the block."""
    hook = Webhook(list(statuses))
    if is_open:
        hook.open.set()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            hook.calls.append({"key": self.headers["Idempotency-Key"], "body": body})
            hook.open.wait()
            try:
                self.send_response(hook.statuses.pop(0) if hook.statuses else 200)
                self.end_headers()
            except OSError:
                pass  # the caller was killed, as the test wanted

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    hook.url = f"http://127.0.0.1:{server.server_port}/hook"
    try:
        yield hook
    finally:
        hook.open.set()
        server.shutdown()
        thread.join()
        server.server_close()
