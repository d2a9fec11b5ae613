"""Batches that wait on disk for a server that is away: a file each, oldest first, across restarts.

A process keeps its own in a folder of its own, and holds a lock on it for as long as it lives. Folders without a lock
were left by processes that ended: whoever starts next takes them over. What is sent twice (a process killed between
the answer and the removal of a file) is stored once, since events have ids.
"""

import contextlib
import itertools
import os
import time
import uuid
from collections import deque
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

try:
    import fcntl
except ImportError:  # Windows: folders of ended processes cannot be told from others, and stay
    fcntl = None  # type: ignore[assignment]

_SUFFIX = ".json"
_LOCK = "lock"


class Batch(NamedTuple):
    """A file with a JSON array of events."""

    path: Path
    size: int
    events: int


class DiskQueue:
    """Used by one thread. Methods raise OSError when the disk does not do what they need."""

    def __init__(self, folder: Path, bytes_max: int) -> None:
        """`bytes_max` bounds the files of this process, those that it took over included."""
        self._root = folder
        self._bytes_max = bytes_max
        self._own: Path | None = None
        self._lock: int | None = None
        self._numbers = itertools.count()
        self._batches: deque[Batch] = deque()
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._batches)

    def take_over(self) -> tuple[int, int]:
        """Take what ended processes have left: how many events that is, and how many of them there was no room for."""
        found = 0
        own = self._folder()
        for folder in sorted(self._root.iterdir()):
            is_other = folder != own and not folder.name.startswith(".") and folder.is_dir()
            lock = _locked(folder) if is_other else None
            if lock is None:
                continue
            for path in folder.glob(f"*{_SUFFIX}"):
                moved = own / path.name
                path.rename(moved)
                batch = Batch(moved, moved.stat().st_size, _events_in(path.name))
                self._batches.append(batch)
                self._bytes += batch.size
                found += batch.events
            _remove(folder)
            os.close(lock)
        self._batches = deque(sorted(self._batches))
        return found, self._make_room()

    def put(self, events: Sequence[bytes]) -> int:
        """Keep events, each JSON; how many of the oldest were dropped to make room."""
        body = b"[" + b",".join(events) + b"]"
        name = f"{time.time_ns():020d}-{os.getpid()}-{next(self._numbers)}-{len(events)}{_SUFFIX}"
        path = self._folder() / name
        unfinished = path.with_suffix(".tmp")
        try:
            with unfinished.open("wb") as file:
                file.write(body)
                file.flush()
                os.fsync(file.fileno())
            unfinished.rename(path)
        except OSError:
            unfinished.unlink(missing_ok=True)
            raise
        self._batches.append(Batch(path, len(body), len(events)))
        self._bytes += len(body)
        return self._make_room()

    def oldest(self) -> Batch:
        """The batch to send next. Raises IndexError when there is none."""
        return self._batches[0]

    def remove(self) -> None:
        """Forget the oldest batch: it was sent, or it will never be taken."""
        batch = self._batches.popleft()
        self._bytes -= batch.size
        batch.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Leave what is there to the next process."""
        if self._lock is not None:
            if not self._batches and self._own is not None:
                _remove(self._own)
            os.close(self._lock)
            self._lock = None

    def abandon(self) -> None:
        """Forget that this is ours: for a forked child, whose parent goes on with it."""
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _make_room(self) -> int:
        dropped = 0
        while self._bytes > self._bytes_max and self._batches:
            dropped += self._batches[0].events
            self.remove()
        return dropped

    def _folder(self) -> Path:
        if self._own is None:
            name = uuid.uuid4().hex
            unlocked = self._root / f".{name}"  # nobody takes it over before it is locked
            unlocked.mkdir(parents=True, mode=0o700)
            self._lock = _locked(unlocked)
            self._own = unlocked.rename(self._root / name)
        return self._own


def _locked(folder: Path) -> int | None:
    """A lock on a folder, held until it is closed or the process ends; None when another process has it."""
    if fcntl is None:
        return None
    try:
        lock = os.open(folder / _LOCK, os.O_RDWR | os.O_CREAT, 0o600)
    except OSError:  # it was removed meanwhile
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(lock)
        return None
    return lock


def _events_in(name: str) -> int:
    """How many events a file holds, by its name."""
    number = name.removesuffix(_SUFFIX).rpartition("-")[2]
    return int(number) if number.isdigit() else 1


def _remove(folder: Path) -> None:
    with contextlib.suppress(OSError):  # somebody else does the same
        for path in folder.iterdir():
            path.unlink(missing_ok=True)
        folder.rmdir()
