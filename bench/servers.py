"""Servers under test: processes on cores of their own, waited for, stopped."""

import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Self

from bench.runs import pin
from deploy.local.errors import LocalStackError
from deploy.local.settings import PROJECT

#: Whatever is answered but a 5xx says that it serves.
_READY = "/readyz"
_READY_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 15.0


class Server:
    """An HTTP server; use it as a context manager."""

    def __init__(
        self,
        command: Sequence[str],
        environment: Mapping[str, str],
        *,
        name: str,
        port: int,
        cores: frozenset[int],
        folder: Path,
    ) -> None:
        """`folder` gets its log."""
        self.name = name
        self.url = f"http://127.0.0.1:{port}"
        self._command = command
        self._environment = {**os.environ, **environment}
        self._cores = cores
        self._log = folder / f"{name}.log"

    @classmethod
    def python(
        cls,
        module: str,
        environment: Mapping[str, str],
        *arguments: str,
        name: str,
        port: int,
        cores: frozenset[int],
        folder: Path,
    ) -> Self:
        """A module of this project."""
        command = [sys.executable, "-m", module, *arguments]
        return cls(command, environment, name=name, port=port, cores=cores, folder=folder)

    @property
    def pids(self) -> list[int]:
        """It, and its workers."""
        return [self._process.pid, *_children(self._process.pid)]

    def __enter__(self) -> Self:
        with self._log.open("wb") as output:
            self._process = subprocess.Popen(
                self._command,
                cwd=PROJECT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._is_ready():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.__exit__()
                last = self._log.read_text(errors="replace").splitlines()[-5:]
                raise LocalStackError(f"{self.name} did not start: {' / '.join(last)}")
            time.sleep(0.05)
        for pid in self.pids:
            pin(pid, self._cores)
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGTERM)
            try:
                self._process.wait(_STOPPED_WITHIN_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def _is_ready(self) -> bool:
        try:
            with urllib.request.urlopen(self.url + _READY, timeout=2):
                return True
        except urllib.error.HTTPError as error:
            return error.code < 500
        except OSError:
            return False


def _children(pid: int) -> list[int]:
    found = [
        int(child)
        for task in Path(f"/proc/{pid}/task").iterdir()
        for child in (task / "children").read_text().split()
    ]
    return found + [below for child in found for below in _children(child)]
