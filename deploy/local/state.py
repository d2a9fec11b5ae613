"""The state folder: who may work in it, and where things are.

.local/env            addresses and keys, for people and programs
.local/keys           the keys alone, made once
.local/run/NAME.json  which process NAME is
.local/log/NAME.log   what it printed
.local/kafka ...      a folder of data for each server
"""

import fcntl
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import StateError

#: A log longer than this is put aside (as NAME.old.log) when its process is next started.
LOG_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True)
class State:
    """The folder and the places in it."""

    root: Path

    @property
    def env(self) -> Path:
        return self.root / "env"

    @property
    def keys(self) -> Path:
        return self.root / "keys"

    @property
    def run(self) -> Path:
        return self.root / "run"

    @property
    def logs(self) -> Path:
        return self.root / "log"

    def log(self, name: str) -> Path:
        return self.logs / f"{name}.log"

    def log_bytes(self, name: str) -> int:
        """How long the log is."""
        log = self.log(name)
        return log.stat().st_size if log.exists() else 0

    def put_aside_long_log(self, name: str) -> None:
        """Begin a new log when the last one has grown too long; one old log is kept."""
        if self.log_bytes(name) > LOG_BYTES_MAX:
            self.log(name).replace(self.log(f"{name}.old"))

    def folder(self, name: str) -> Path:
        """The data folder of the server `name`, made when it is not there. Raises StateError."""
        folder = self.root / name
        self._make(folder, 0o700)
        return folder

    def prepare(self) -> None:
        """Make the folder and see that we may write in it. Raises StateError."""
        # Others may pass through the folder itself: PostgreSQL runs as another user when we are root.
        self._make(self.root, 0o755)
        self._make(self.run, 0o700)
        self._make(self.logs, 0o700)
        for folder in (self.root, self.run, self.logs):
            if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
                raise self.error(folder, "this user may not write here")

    def error(self, path: Path, problem: str) -> StateError:
        return StateError(path, problem, self.logs)

    @contextmanager
    def locked(self, say: Callable[[str], None]) -> Iterator[None]:
        """Let one `up` or `down` at a time work in the folder; the others wait their turn."""
        with self._open_lock() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                say(f"waiting for another make up or down in {self.root}")
                fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def write_private(self, path: Path, text: str) -> None:
        """Put `text` at `path`, whole or not at all, readable by this user alone."""
        fresh = path.with_name(f".{path.name}.{os.getpid()}")
        handle = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        fresh.replace(path)

    @contextmanager
    def _open_lock(self) -> Iterator[int]:
        path = self.root / "lock"
        try:
            lock = os.open(path, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self.error(path, error.strerror or str(error)) from error
        try:
            yield lock
        finally:
            os.close(lock)

    def _make(self, folder: Path, mode: int) -> None:
        try:
            folder.mkdir(mode=mode, parents=True, exist_ok=True)
        except FileExistsError as error:
            raise self.error(folder, "a file is where a folder should be") from error
        except OSError as error:
            raise self.error(folder, f"cannot be made: {error.strerror}") from error
