"""Appending to the spool: whatever waits is written and synced together, so that its rate hardly depends on the disk's.

One thread writes. While it syncs, the next commit collects; a request waits for two commits at most. Another thread
reads and tidies up for the replay.
"""

import asyncio
import contextlib
import os
import time
from asyncio import Future, Task
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

from services.ingest import metrics
from services.ingest.spool import frames
from services.ingest.spool.frames import Spooled
from services.ingest.spool.segment import Segment
from shared import logs
from shared.errors import ConfigurationError, Retryable

_log = logs.get(__name__)

T = TypeVar("T")

SEGMENT_BYTES = 8_388_608  # when a file is finished, and so how much disk is freed at a time
_COMMIT_TIMEOUT_S = 5.0  # a disk that takes longer hangs, and requests are not to hang with it
_REFUSES_FOR_S = 1.0  # how long a refusal makes the spool count as unusable


class SpoolFull(Retryable):
    """The spool has no room, or its disk took nothing."""


class Spool:
    """The files of one process in `folder`, of `bytes_max` bytes together."""

    def __init__(self, folder: Path, *, bytes_max: int) -> None:
        self._folder = folder
        self._bytes_max = bytes_max
        #: Oldest first. The last one may be the one that is written to.
        self.segments: deque[Segment] = deque()
        self._writing: Segment | None = None
        self._waiting: list[bytes] = []
        self._waiting_bytes = 0
        self._waiting_records = 0
        self._waiting_since_ms = 0
        #: On disk, and not on Kafka.
        self._stored_bytes = 0
        #: What the thread writes now.
        self._committing_bytes = 0
        self._commit: Future[None] | None = None
        self._committer: Task[None] | None = None
        self._refused_at = float("-inf")
        self._thread = ThreadPoolExecutor(1, "spool")
        #: For the replay, which requests are not to wait for.
        self._replay_thread = ThreadPoolExecutor(1, "spool-replay")

    async def open(self) -> None:
        """Adopt what crashed processes left. Raises ConfigurationError when the folder cannot be used."""
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            adopted = await self.call(lambda: Segment.adopt(self._folder))
            if not os.access(self._folder, os.W_OK | os.X_OK):
                raise PermissionError("it cannot be written to")
        except OSError as error:
            raise ConfigurationError(
                f"the spool's folder {self._folder} cannot be used ({error}); SIGNALBOX_INGEST_SPOOL_DIR moves it"
            ) from error
        self.segments.extend(adopted)
        self._stored_bytes = sum(segment.size - segment.done for segment in adopted)
        if adopted:
            _log.warning("spool_adopted", segments=len(adopted), records=self.records, bytes=self.bytes_held)
        self.report()

    async def close(self) -> None:
        """Finish the commits under way, and let go of the files."""
        if self._committer is not None:
            await asyncio.wait([self._committer], timeout=_COMMIT_TIMEOUT_S)
        self._thread.shutdown(wait=False)
        self._replay_thread.shutdown(wait=False)
        for segment in self.segments:
            segment.close()

    def append(self, records: Sequence[Spooled]) -> Future[None]:
        """Add records; its result means that they survive a crash of this machine.

        Raises SpoolFull at once when there is no room; later the future does when the disk refuses. It is shared
        with others, so await it through `asyncio.shield`.
        """
        data = b"".join([frames.encode(record) for record in records])
        if self.bytes_held + len(data) > self._bytes_max:
            self._refused_at = time.monotonic()
            raise SpoolFull(f"the spool's {self._bytes_max} bytes are in use")
        if not self._waiting:
            self._waiting_since_ms = records[0].timestamp_ms
            self._commit = asyncio.get_running_loop().create_future()
        assert self._commit is not None
        self._waiting.append(data)
        self._waiting_bytes += len(data)
        self._waiting_records += len(records)
        if self._committer is None or self._committer.done():
            self._committer = asyncio.create_task(self._write())
        return self._commit

    @property
    def bytes_held(self) -> int:
        """What Kafka does not have yet, on disk and on its way there."""
        return self._stored_bytes + self._waiting_bytes + self._committing_bytes

    @property
    def records(self) -> int:
        """How many records on disk Kafka does not have yet."""
        return sum(segment.records for segment in self.segments)

    @property
    def is_settled(self) -> bool:
        """No append is under way."""
        return not self._waiting_bytes and not self._committing_bytes

    def accepts(self) -> bool:
        """Whether an append is likely to succeed."""
        return time.monotonic() - self._refused_at > _REFUSES_FOR_S

    async def settled(self) -> None:
        """Return when no append is under way."""
        while self._committer is not None and not self._committer.done():
            await asyncio.wait([self._committer])

    async def call(self, function: Callable[[], T]) -> T:
        """Run something that blocks on the disk, beside the commits."""
        return await asyncio.get_running_loop().run_in_executor(self._replay_thread, function)

    def finish(self, segment: Segment, end: int, records: Sequence[Spooled]) -> list[Segment]:
        """The records of a segment up to `end` are dealt with; the files that nobody needs any more."""
        self._stored_bytes -= end - segment.done
        segment.done = end
        segment.records = max(0, segment.records - len(records))
        if records:
            segment.oldest_ms = records[-1].timestamp_ms
        self.report()
        return self._drop_finished()

    def _drop_finished(self) -> list[Segment]:
        finished = []
        while self.segments and self.segments[0].done >= self.segments[0].size:
            if self.segments[0] is self._writing:
                if not self.is_settled:
                    break
                self._writing = None
            finished.append(self.segments.popleft())
        return finished

    def report(self) -> None:
        """Bring the gauges up to date."""
        metrics.SPOOL_BYTES.set(self.bytes_held)
        metrics.SPOOL_RECORDS.set(self.records)
        oldest_ms = next((s.oldest_ms for s in self.segments if s.records), 0)
        metrics.SPOOL_OLDEST_AGE.set(max(0.0, time.time() - oldest_ms / 1_000) if oldest_ms else 0.0)

    async def _write(self) -> None:
        while self._waiting:
            data, records = b"".join(self._waiting), self._waiting_records
            since_ms, commit = self._waiting_since_ms, self._commit
            assert commit is not None
            self._waiting, self._waiting_records, self._waiting_bytes = [], 0, 0
            self._committing_bytes = len(data)
            job = asyncio.get_running_loop().run_in_executor(self._thread, self._write_to_disk, data)
            done, _ = await asyncio.wait([job], timeout=_COMMIT_TIMEOUT_S)
            if not done:
                self._fail(commit, f"the disk did not answer within {_COMMIT_TIMEOUT_S:g} s")
            try:
                segment = await job
            except OSError as error:
                self._committing_bytes = 0
                self._fail(commit, str(error))
                continue
            self._committing_bytes = 0
            if not self.segments or self.segments[-1] is not segment:
                self.segments.append(segment)
            segment.oldest_ms = segment.oldest_ms if segment.records else since_ms
            segment.records += records
            self._stored_bytes += len(data)
            if not commit.done():
                commit.set_result(None)
            self.report()

    def _write_to_disk(self, data: bytes) -> Segment:
        """In the thread: append to the last file, or to a new one."""
        segment = self._writing
        if segment is None or segment.size >= SEGMENT_BYTES:
            segment = self._writing = Segment.create(self._folder)
        try:
            segment.append(data)
        except OSError:
            self._writing = None  # its end is not certain: never write behind it
            if segment.size == 0:
                with contextlib.suppress(OSError):
                    segment.remove()
            raise
        return segment

    def _fail(self, commit: Future[None], reason: str) -> None:
        if commit.done():
            return
        self._refused_at = time.monotonic()
        _log.error("spool_commit_failed", reason=reason)
        commit.set_exception(SpoolFull(f"the spool's disk: {reason}"))
        commit.exception()  # nobody may be waiting any more
