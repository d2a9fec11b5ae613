"""The client: tracking calls return at once and never raise; calls that ask for something wait for the answer."""

import atexit
import logging
import os
import time
import uuid
import weakref
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

from signalbox_client.disk_queue import DiskQueue
from signalbox_client.errors import ClientError, Unavailable
from signalbox_client.events import describe, encode, to_json
from signalbox_client.sender import Counts, Limits, Sender, call_if_alive
from signalbox_client.transport import Accepted, Transport, backoff_s

log = logging.getLogger("signalbox_client")


class Client:
    """One per process, shared by its threads; it also lives through a fork.

    `url` is ingest's address and `key` the project's secret key. `release` and `environment` go with every
    event. With `queue_dir`, a folder, events wait there while the server is away, `queue_bytes_max` of them at most,
    until it is back or until the next process that names the same folder. Raises ValueError when the address or the key cannot be one.
    """

    def __init__(
        self,
        url: str,
        key: str,
        *,
        release: str = "",
        environment: str = "",
        flush_interval_s: float = 1.0,
        batch_events_max: int = 100,
        buffer_bytes_max: int = 16 * 1024 * 1024,
        timeout_s: float = 5.0,
        close_timeout_s: float = 5.0,
        queue_dir: str | os.PathLike[str] | None = None,
        queue_bytes_max: int = 64 * 1024 * 1024,
    ) -> None:
        if not _is_address(url):
            raise ValueError(f"the address of ingest must look like https://host, not {url!r}")
        if not key or not key.isascii() or not key.isprintable() or " " in key:
            raise ValueError("the key is empty, or holds what no key can")
        self._url = url
        self._key = key
        self._timeout_s = timeout_s
        self._close_timeout_s = close_timeout_s
        self._defaults = {
            name: value for name, value in (("release", release), ("environment", environment)) if value
        }
        self._connect()
        self._sender = Sender(
            self._transport,
            Limits(flush_interval_s, batch_events_max, buffer_bytes_max),
            None if queue_dir is None else partial(DiskQueue, Path(queue_dir), queue_bytes_max),
        )
        self._close_at_exit = partial(call_if_alive, weakref.WeakMethod(self.close))
        atexit.register(self._close_at_exit)

    def track_error(self, error: BaseException | str, **extra: Any) -> None:
        """Report an exception, with its traceback, or a text.

        In `extra`, names of fields (`level`, `user`, `handled`, `fingerprint`, `page`, ...) set them; every
        other name, and what is in `tags`, becomes a tag. So it is for all four.
        """
        self._track("error", lambda: describe(error), extra)

    def track_metric(self, name: str, value: float, unit: str = "", **extra: Any) -> None:
        """Report a measurement in `unit`, such as `ms`."""
        self._track("metric", lambda: {"name": name, "value": float(value), "unit": unit}, extra)

    def track_page_view(self, page: str, **extra: Any) -> None:
        """Report that a page was served; `page` is its route, such as `/items/:id`."""
        self._track("page_view", lambda: {"page": page}, extra)

    def track_event(self, name: str, properties: Mapping[str, Any] | None = None, **extra: Any) -> None:
        """Report that something happened, with facts about it that JSON can say."""
        self._track("event", lambda: {"name": name, "properties": dict(properties or {})}, extra)

    def enqueue_job(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        priority: int = 5,
        scheduled_at: datetime | None = None,
        idempotency_key: str | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> str:
        """Ask for a background job, and return its id once the request is stored; it says nothing of its run.

        Higher `priority` (0 to 9) runs first. Two calls with one `idempotency_key` are one job; without it,
        one is made for this call, so that its own retries are.

        Raises Refused when the request is invalid, Unavailable after `timeout_s` seconds of trying.
        """
        job: dict[str, Any] = {"type": type, "payload": dict(payload or {}), "priority": priority}
        if scheduled_at is not None:
            job["scheduled_at"] = scheduled_at
        headers = {"Idempotency-Key": idempotency_key or str(uuid.uuid4())}
        answer = self._ask("/v1/jobs", job, headers, timeout_s)
        if "id" not in answer:
            raise ClientError(f"{self._url} accepted the job without naming its id; is that ingest?")
        return str(answer["id"])

    def changed(self, entity: str, key: str | None = None, *, timeout_s: float = 10.0) -> None:
        """Say that an entity (all of it, or the one with `key`) changed; returning means: caches will forget it.

        Raises Refused when the names are invalid, Unavailable after `timeout_s` seconds of trying.
        """
        change = {"entity": entity} if key is None else {"entity": entity, "key": key}
        self._ask("/v1/changes", change, {}, timeout_s)

    def flush(self, timeout_s: float = 10.0) -> bool:
        """Send what was tracked so far; False when some of it still waits after `timeout_s`."""
        return self._sender.flush(timeout_s)

    def counts(self) -> Counts:
        """What became of the tracked events."""
        return self._sender.counts()

    def close(self) -> None:
        """Send what waits, for at most `close_timeout_s`. Called at exit too; calling it again does nothing."""
        atexit.unregister(self._close_at_exit)
        self._sender.close(self._close_timeout_s)
        self._connections.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _track(self, kind: str, fields: Callable[[], dict[str, Any]], extra: Mapping[str, Any]) -> None:
        event: bytes | None = None
        try:
            event = encode(kind, self._defaults, fields(), extra)
        except Exception:  # The edge to the host, whose values these are: it must not break by being watched.
            log.warning("an event of type %s could not be written as JSON", kind, exc_info=True)
        self._sender.put(event)

    def _ask(self, path: str, value: object, headers: dict[str, str], timeout_s: float) -> dict[str, Any]:
        """Post until there is an answer; the last try starts before `timeout_s` is over."""
        body = to_json(value)
        give_up_at = time.monotonic() + timeout_s
        attempt = 0
        while True:
            outcome = self._transport().post(path, body, headers)
            if isinstance(outcome, Accepted):
                return outcome.body
            attempt += 1
            wait_s = backoff_s(attempt, outcome.after_s)
            if time.monotonic() + wait_s > give_up_at:
                raise Unavailable(f"{self._url}{path}: {outcome.reason}, {attempt} times in {timeout_s} s")
            time.sleep(wait_s)

    def _transport(self) -> Transport:
        """The connections of this process; a forked child must not share its parent's."""
        if self._pid != os.getpid():
            self._connect()
        return self._connections

    def _connect(self) -> None:
        self._pid = os.getpid()
        self._connections = Transport(self._url, self._key, self._timeout_s)


def _is_address(url: str) -> bool:
    try:
        split = urlsplit(url)
        return split.scheme in ("http", "https") and bool(split.hostname) and split.port != 0
    except ValueError:  # a port that is no number, or brackets that do not close
        return False
