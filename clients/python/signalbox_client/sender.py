"""Events on their way: a bounded buffer, and a thread that posts it in batches."""

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from signalbox_client.errors import Refused
from signalbox_client.transport import Accepted, Transport, TryAgain, backoff_s

log = logging.getLogger("signalbox_client")

PATH = "/v1/events"
#: ingest refuses larger events.
EVENT_BYTES_MAX = 256 * 1024
#: Well under what any server or proxy takes in one request.
BATCH_BYTES_MAX = 1024 * 1024
#: A 500 that stays is about these very bytes; they must not hold up the rest for ever.
SERVER_ERRORS_MAX = 4


@dataclass(frozen=True)
class Limits:
    """When a batch leaves, and how much may wait."""

    #: An event waits at most this long for others to travel with.
    flush_interval_s: float
    #: A batch leaves as soon as so many wait.
    batch_events_max: int
    #: Over this many bytes of JSON the oldest events are dropped, and counted.
    buffer_bytes_max: int


@dataclass(frozen=True)
class Counts:
    """What became of the events so far; `tracked` is the sum of the others."""

    #: Every tracking call.
    tracked: int = 0
    #: The server has stored them.
    accepted: int = 0
    #: The server said no: invalid, a wrong key.
    rejected: int = 0
    #: Lost here: a full buffer, a value that is no JSON, or a server that was away to the end.
    dropped: int = 0
    #: In the buffer or under way.
    waiting: int = 0


class Sender:
    """Takes events from any thread at once; the posting thread starts with the first one."""

    def __init__(self, transport: Callable[[], Transport], limits: Limits) -> None:
        self._transport = transport
        self._limits = limits
        self._start_over()
        if hasattr(os, "register_at_fork"):
            start_over = weakref.WeakMethod(self._start_over)
            os.register_at_fork(after_in_child=lambda: call_if_alive(start_over))

    def _start_over(self) -> None:
        """Forget everything: a forked child has a copy of the buffer, which the parent sends, and no thread."""
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._buffer: deque[bytes] = deque()
        self._buffer_bytes = 0
        self._tracked = self._accepted = self._rejected = self._dropped = 0
        #: Everything tracked up to here is to be sent without waiting for more.
        self._hurry_to = 0
        #: `time.monotonic()` after which nothing is tried any more; None while open.
        self._deadline: float | None = None

    def put(self, event: bytes | None) -> None:
        """Take one event, as JSON; None counts one that could not be made."""
        with self._state:
            self._tracked += 1
            if event is None or len(event) > EVENT_BYTES_MAX or self._deadline is not None:
                self._dropped += 1
                return
            self._buffer.append(event)
            self._buffer_bytes += len(event)
            while self._buffer_bytes > self._limits.buffer_bytes_max:
                # The oldest go: the newest say what is wrong now.
                self._buffer_bytes -= len(self._buffer.popleft())
                self._dropped += 1
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="signalbox-client", daemon=True)
                self._thread.start()
            self._state.notify_all()

    def counts(self) -> Counts:
        with self._state:
            waiting = self._tracked - self._settled()
            return Counts(self._tracked, self._accepted, self._rejected, self._dropped, waiting)

    def flush(self, timeout_s: float) -> bool:
        """Send everything tracked so far; False when some of it still waits after `timeout_s`."""
        with self._state:
            target = self._hurry_to = self._tracked
            self._state.notify_all()
            return self._state.wait_for(lambda: self._settled() >= target, timeout_s)

    def close(self, timeout_s: float) -> None:
        """Send what waits, for at most `timeout_s`; the rest is dropped, and counted. Events after it are too."""
        with self._state:
            if self._deadline is None:
                self._deadline = time.monotonic() + timeout_s
            self._state.notify_all()
            thread = self._thread
        if thread is not None:
            thread.join(timeout_s + 1.0)

    def _settled(self) -> int:
        return self._accepted + self._rejected + self._dropped

    def _run(self) -> None:
        transport = self._transport()
        while batch := self._next_batch():
            self._deliver(transport, batch)

    def _next_batch(self) -> list[bytes]:
        """Wait for a batch worth sending; empty when closed and nothing is left."""
        with self._state:
            self._state.wait_for(lambda: self._buffer or self._deadline is not None)
            self._state.wait_for(
                lambda: (
                    len(self._buffer) >= self._limits.batch_events_max
                    or self._settled() < self._hurry_to
                    or self._deadline is not None
                ),
                self._limits.flush_interval_s,
            )
            batch: list[bytes] = []
            batch_bytes = 0
            while self._buffer and len(batch) < self._limits.batch_events_max:
                batch_bytes += len(self._buffer[0])
                if batch and batch_bytes > BATCH_BYTES_MAX:
                    break
                batch.append(self._buffer.popleft())
            self._buffer_bytes -= sum(map(len, batch))
            return batch

    def _deliver(self, transport: Transport, batch: list[bytes]) -> None:
        """Post until it is accepted or refused, or until the deadline of `close` has passed."""
        body = b"[" + b",".join(batch) + b"]"
        attempt = server_errors = 0
        while not self._is_over():
            try:
                outcome = transport.post(PATH, body)
            except Refused as error:
                log.warning("signalbox refused %d events: %s", len(batch), error)
                return self._settle(rejected=len(batch))
            if isinstance(outcome, Accepted):
                return self._settle_accepted(len(batch), outcome)
            attempt += 1
            server_errors += outcome.status == 500
            if server_errors == SERVER_ERRORS_MAX or not self._wait(attempt, outcome):
                log.warning("%d events for signalbox are lost: %s", len(batch), outcome.reason)
                break
        self._settle(dropped=len(batch))

    def _is_over(self) -> bool:
        with self._state:
            return self._deadline is not None and time.monotonic() > self._deadline

    def _wait(self, attempt: int, outcome: TryAgain) -> bool:
        """Wait for the next try; False when the deadline comes before it."""
        again_at = time.monotonic() + backoff_s(attempt, outcome.after_s)
        if attempt == 1:
            log.warning("signalbox takes no events (%s); they wait", outcome.reason)
        with self._state:
            # Closing is looked at once it happens, not when the wait is over.
            late = self._state.wait_for(
                lambda: self._deadline is not None and self._deadline < again_at, again_at - time.monotonic()
            )
            return not late

    def _settle_accepted(self, sent: int, answer: Accepted) -> None:
        refusals = answer.body.get("rejected") or []
        if refusals:
            log.warning("signalbox rejected %d of %d events: %s", len(refusals), sent, refusals[0])
        self._settle(accepted=sent - len(refusals), rejected=len(refusals))

    def _settle(self, accepted: int = 0, rejected: int = 0, dropped: int = 0) -> None:
        with self._state:
            self._accepted += accepted
            self._rejected += rejected
            self._dropped += dropped
            self._state.notify_all()


def call_if_alive(method: weakref.WeakMethod[Callable[[], None]]) -> None:
    """Call a bound method whose object may be gone: hooks of the process must not keep it alive."""
    bound = method()
    if bound is not None:
        bound()
