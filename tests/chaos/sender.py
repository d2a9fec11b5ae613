"""The traffic process, as those who start it see it."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Self

from deploy.local.settings import PROJECT

#: More than it needs to give up its last requests.
_ENDED_WITHIN_S = 150.0
#: It ends by itself after so long, whatever becomes of us.
_SECONDS_MAX = 1_800


class Sender:
    """Traffic until `end`; killed when its block is left earlier."""

    def __init__(
        self, variables: Mapping[str, str], history: Path, *, label: str, rate: float, seed: int
    ) -> None:
        arguments = ["--url", variables["INGEST_URL"], "--label", label, "--rate", str(rate)]
        arguments += ["--history", str(history), "--seed", str(seed), "--seconds-max", str(_SECONDS_MAX)]
        self._argv = [sys.executable, "-m", "tests.chaos.traffic", *arguments]
        self._environ = {**os.environ, **variables}

    def __enter__(self) -> Self:
        self._process = subprocess.Popen(
            self._argv,
            cwd=PROJECT,
            env=self._environ,
            stdout=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )
        return self

    def __exit__(self, *_: object) -> None:
        if self._process.poll() is None:
            self._process.kill()
            self._process.communicate()

    def end(self) -> int:
        """Let it see its last requests through; returns how many it could not even begin."""
        self._process.send_signal(signal.SIGTERM)
        told, _ = self._process.communicate(timeout=_ENDED_WITHIN_S)
        if self._process.returncode:
            raise RuntimeError(f"the traffic process ended with status {self._process.returncode}")
        return int(told)
