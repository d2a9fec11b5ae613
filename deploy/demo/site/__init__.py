"""A small web app that the demo watches, and the webhook that it is notified by."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

_PAGE = (Path(__file__).parent / "index.html").read_text()


@dataclass(frozen=True)
class Site:
    """Where it listens."""

    url: str

    @property
    def flaky_webhook(self) -> str:
        """Answers 503 to the first request, as a receiver does that is being deployed, then 200."""
        return f"{self.url}/flaky"


@contextmanager
def running_site(*, ingest: str, key: str) -> Iterator[Site]:
    """Serve the app on a free port as long as the block runs."""
    page = _PAGE.replace("{{ingest}}", ingest).replace("{{key}}", key).encode()
    asked_before: set[str] = set()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self._answer(200, page)

        def do_POST(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length", 0)))
            known = self.path in asked_before
            asked_before.add(self.path)
            self._answer(200 if known else 503, b"")

        def _answer(self, status: int, body: bytes) -> None:
            self.send_response(status)
            self.send_header("Content-Type", "text/html; charset=utf-8")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.1})
    thread.start()
    try:
        yield Site(f"http://127.0.0.1:{server.server_port}")
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
