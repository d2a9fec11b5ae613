"""One file of the spool: frames are appended to it, and it is removed when Kafka has them all.

`NAME.log` holds frames, and `NAME.done` how far Kafka has them. Names sort by age. Whoever holds the lock of a log
owns both; the kernel drops it when that process ends, however it ends, and then another may adopt them. Everything
here blocks: the event loop calls it through a thread.
"""

import contextlib
import fcntl
import os
import struct
import time
import zlib
from pathlib import Path

from services.ingest.spool import frames
from shared import ids, logs

_log = logs.get(__name__)

_DONE = struct.Struct("<QI")  # how many bytes are done, and the CRC-32 of that number
_SUFFIX = ".log"


class Segment:
    """A file that this process owns. Made by `create` and `adopt`."""

    def __init__(self, path: Path, fd: int) -> None:
        self.path = path
        self._fd = fd
        self._done_fd = -1
        #: Bytes of whole frames that are on disk for certain; later ones may be anything.
        self.size = 0
        #: Up to here Kafka has everything, or it is known to be lost.
        self.done = 0
        #: Records after `done`.
        self.records = 0
        #: When the oldest of them was spooled, in milliseconds since 1970; to within a chunk of a replay.
        self.oldest_ms = 0

    @classmethod
    def create(cls, folder: Path) -> "Segment":
        """A new, empty file; returning means that its name survives a crash. Raises OSError."""
        while True:
            path = folder / f"{time.time_ns():020d}-{ids.new_id()}{_SUFFIX}"
            fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC, 0o600)
            if _lock(fd, path):
                break
            os.close(fd)  # another process was quicker, and took it for a dead one's
        _sync_folder(folder)
        return cls(path, fd)

    @classmethod
    def adopt(cls, folder: Path) -> list["Segment"]:
        """The files that nobody owns, oldest first, each cut after its last whole frame. Raises OSError."""
        adopted: list[Segment] = []
        for path in sorted(folder.glob(f"*{_SUFFIX}")):
            try:
                fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_CLOEXEC)
            except FileNotFoundError:  # its owner has just finished it
                continue
            if not _lock(fd, path):
                os.close(fd)
                continue
            segment = cls(path, fd)
            segment._survey()
            if segment.done < segment.size:
                adopted.append(segment)
            else:
                segment.remove()
        return adopted

    def append(self, data: bytes) -> None:
        """Add whole frames; returning means that they survive a crash of the machine. Raises OSError.

        After an error the file is as it was, or it has a torn tail, which `adopt` cuts off; append nothing more.
        """
        try:
            view = memoryview(data)
            while view:
                view = view[os.write(self._fd, view) :]
            os.fdatasync(self._fd)
        except OSError:
            with contextlib.suppress(OSError):
                os.ftruncate(self._fd, self.size)  # a full disk has room again
            raise
        self.size += len(data)

    def read(self, start: int, end: int) -> bytes:
        """Some of its bytes. Raises OSError."""
        parts = []
        while start < end:
            part = os.pread(self._fd, end - start, start)
            if not part:
                break
            parts.append(part)
            start += len(part)
        return b"".join(parts)

    def mark_done(self, done: int) -> None:
        """Remember that everything before `done` is dealt with; returning means for ever. Raises OSError."""
        if self._done_fd < 0:
            path = self.path.with_suffix(".done")
            self._done_fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        number = done.to_bytes(8, "little")
        os.pwrite(self._done_fd, _DONE.pack(done, zlib.crc32(number)), 0)
        os.fdatasync(self._done_fd)

    def remove(self) -> None:
        """Delete the files; when a crash brings them back they are replayed once more. Raises OSError."""
        self.path.unlink(missing_ok=True)  # while it is locked, so that nobody adopts it meanwhile
        self.path.with_suffix(".done").unlink(missing_ok=True)
        self.close()

    def close(self) -> None:
        """Let go of the files; another process may adopt them."""
        for fd in (self._fd, self._done_fd):
            if fd >= 0:
                os.close(fd)
        self._fd = self._done_fd = -1

    def _survey(self) -> None:
        """Learn what a crashed owner left."""
        length = os.fstat(self._fd).st_size
        self.done = min(self._read_done(), length)
        end = 0
        for found in frames.read(self.read(self.done, length)):
            end = found.end
            if found.record is not None:
                self.records += 1
                self.oldest_ms = self.oldest_ms or found.record.timestamp_ms
        self.size = self.done + end
        if self.size < length:
            _log.warning("spool_tail_torn", segment=self.path.name, bytes=length - self.size)
            os.ftruncate(self._fd, self.size)

    def _read_done(self) -> int:
        try:
            done, checksum = _DONE.unpack(self.path.with_suffix(".done").read_bytes())
        except (FileNotFoundError, struct.error):
            return 0
        return int(done) if zlib.crc32(done.to_bytes(8, "little")) == checksum else 0


def _lock(fd: int, path: Path) -> bool:
    """Whether the file is ours now, and still there."""
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return os.fstat(fd).st_nlink > 0


def _sync_folder(folder: Path) -> None:
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)
