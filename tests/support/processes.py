"""Our services as the processes that they are: started with `python -m`, waited for, stopped."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import httpx

from deploy.local.settings import PROJECT
from tests.support.stacks import free_ports

_READY_WITHIN_S = 60.0
_STOPPED_WITHIN_S = 30.0


class ServiceProcess:
    """One process of a service; use it as a context manager."""

    def __init__(
        self, service: str, environment: Mapping[str, str], log: Path, *, port: int | None = None
    ) -> None:
        self.service = service
        self.port = port or free_ports(1)[0]
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = log
        self._environment = {
            **os.environ,
            **environment,
            f"SIGNALBOX_{service.upper()}_PORT": str(self.port),
            "PYTHONUNBUFFERED": "1",
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def pid(self) -> int:
        """Of the process that was started."""
        assert self._process is not None, "it was not started"
        return self._process.pid

    def start(self) -> Self:
        """Start, and return when it says that it is ready."""
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", f"services.{self.service}"],
                cwd=PROJECT,
                env=self._environment,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        deadline = time.monotonic() + _READY_WITHIN_S
        while not self._ready():
            assert self._process.poll() is None, f"{self.service} ended:\n{self._tail()}"
            assert time.monotonic() < deadline, f"{self.service} was not ready:\n{self._tail()}"
            time.sleep(0.05)
        return self

    def stop(self) -> int:
        """Ask it to stop, and return its exit status."""
        return self._end(signal.SIGTERM)

    def wait(self) -> int:
        """Its exit status, once it has ended by itself."""
        assert self._process is not None, "it was not started"
        return self._process.wait(_STOPPED_WITHIN_S)

    def kill(self) -> None:
        """End it as a crash would."""
        self._end(signal.SIGKILL)

    def kill_group(self) -> None:
        """The same for all processes that it has started."""
        assert self._process is not None, "it was not started"
        os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait(_STOPPED_WITHIN_S)

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(self, *_: object) -> None:
        if self._process is not None and self._process.poll() is None:
            self.stop()

    def _end(self, number: signal.Signals) -> int:
        assert self._process is not None, "it was not started"
        self._process.send_signal(number)
        try:
            return self._process.wait(_STOPPED_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
            raise AssertionError(f"{self.service} did not stop:\n{self._tail()}") from None

    def _ready(self) -> bool:
        try:
            return httpx.get(f"{self.url}/readyz", timeout=5).status_code == 200
        except httpx.HTTPError:
            return False

    def _tail(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-30:])
