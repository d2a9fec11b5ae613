"""Events on their way: a bounded buffer, and a thread that posts it in batches."""

import logging
import os
import threading
import time
import weakref
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from signalbox_client.disk_queue import DiskQueue
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

    #: Every tracking call, and what an earlier process has left on disk.
    tracked: int = 0
    #: The server has stored them.
    accepted: int = 0
    #: The server said no: invalid, a wrong key.
    rejected: int = 0
    #: Lost here: a full buffer or disk queue, a value that is no JSON, or, without a disk queue, a server that was away
    #: to the end.
    dropped: int = 0
    #: In the buffer, on disk or under way.
    waiting: int = 0


class Sender:
    """Takes events from any thread at once; the posting thread starts with the first one."""

    def __init__(
        self, transport: Callable[[], Transport], limits: Limits, disk: Callable[[], DiskQueue] | None = None
    ) -> None:
        """`disk` makes the queue for what the server does not take now; a forked child makes one of its own."""
        self._transport = transport
        self._limits = limits
        self._make_disk = disk
        self._disk: DiskQueue | None = None
        self._start_over()
        if hasattr(os, "register_at_fork"):
            start_over = weakref.WeakMethod(self._start_over)
            os.register_at_fork(after_in_child=lambda: call_if_alive(start_over))

    def _start_over(self) -> None:
        """Forget everything: a forked child has a copy of the buffer, which the parent sends, and no thread."""
        if self._disk is not None:
            self._disk.abandon()
        self._disk = self._make_disk() if self._make_disk is not None else None
        #: `time.monotonic()` before which what is on disk is not tried; failures in a row; 500s of the oldest batch.
        self._again_at = 0.0
        self._attempt = self._server_errors = 0
        self._state = threading.Condition()
        self._thread: threading.Thread | None = None
        self._buffer: deque[bytes] = deque()
        self._buffer_bytes = 0
        self._tracked = self._accepted = self._rejected = self._dropped = 0
        #: Of those tracked: left by other processes.
        self._taken_over = 0
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
            before = self._taken_over
            self._state.notify_all()
            # What others have left on disk is older than what was tracked here, and is sent before it.
            return self._state.wait_for(
                lambda: self._settled() >= target + self._taken_over - before, timeout_s
            )

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
        if self._disk is None:
            while batch := self._next_batch():
                self._deliver(transport, batch)
            return
        disk = self._disk
        self._take_over(disk)
        while not self._is_done(batch := self._next_batch()):
            if batch and (len(disk) or not self._deliver_once(transport, batch)):
                self._keep(disk, batch)
            self._drain(transport, disk)
        disk.close()

    def _take_over(self, disk: DiskQueue) -> None:
        found = dropped = 0
        try:
            found, dropped = disk.take_over()
        except OSError:
            log.warning("events on disk cannot be read", exc_info=True)
        with self._state:
            self._tracked += found
            self._taken_over += found
        self._settle(dropped=dropped)

    def _is_done(self, batch: list[bytes]) -> bool:
        with self._state:
            return not batch and self._deadline is not None

    def _deliver_once(self, transport: Transport, batch: list[bytes]) -> bool:
        """Post events that are not on disk; False when they have to wait."""
        return self._post(transport, b"[" + b",".join(batch) + b"]", len(batch))

    def _drain(self, transport: Transport, disk: DiskQueue) -> None:
        """Post what is on disk, oldest first, for as long as the server takes it."""
        while len(disk) and time.monotonic() >= self._again_at and not self._is_over():
            batch = disk.oldest()
            try:
                body = batch.path.read_bytes()
            except OSError as error:
                log.warning("%d events for signalbox are lost: %s", batch.events, error)
                self._settle(dropped=batch.events)
                disk.remove()
                continue
            if self._post(transport, body, batch.events):
                disk.remove()
            elif self._server_errors >= SERVER_ERRORS_MAX:
                log.warning("%d events for signalbox are lost: the server fails on them", batch.events)
                self._server_errors = 0
                self._settle(dropped=batch.events)
                disk.remove()

    def _keep(self, disk: DiskQueue, batch: list[bytes]) -> None:
        try:
            dropped = disk.put(batch)
        except OSError as error:
            log.warning("%d events for signalbox are lost: %s", len(batch), error)
            dropped = len(batch)
        self._settle(dropped=dropped)

    def _post(self, transport: Transport, body: bytes, events: int) -> bool:
        """Post once and settle; False when it has to be tried again, not before `_again_at`."""
        if time.monotonic() < self._again_at or self._is_over():
            return False
        try:
            outcome = transport.post(PATH, body)
        except Refused as error:
            log.warning("signalbox refused %d events: %s", events, error)
            self._settle(rejected=events)
        else:
            if isinstance(outcome, TryAgain):
                self._attempt += 1
                self._server_errors = self._server_errors + 1 if outcome.status == 500 else 0
                self._again_at = time.monotonic() + backoff_s(self._attempt, outcome.after_s)
                if self._attempt == 1:
                    log.warning("signalbox takes no events (%s); they wait on disk", outcome.reason)
                return False
            self._settle_accepted(events, outcome)
        self._attempt = self._server_errors = 0
        return True

    def _next_batch(self) -> list[bytes]:
        """Wait for a batch worth sending; empty when closed and nothing is left, or when the disk has its turn."""
        with self._state:
            waiting_s = None if not self._disk else max(0.0, self._again_at - time.monotonic())
            self._state.wait_for(lambda: self._buffer or self._deadline is not None, waiting_s)
            if not self._buffer:
                return []
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
