"""A Kafka of the benchmark's own: the local stack in `.local/bench/stack`, on free ports, on the load's cores."""

import contextlib
import json
import os
import shutil
import signal
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from bench.runs import pin
from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports
from deploy.local.settings import Settings
from deploy.local.stack import Stack


@dataclass(frozen=True)
class RunningStack:
    """The stack's addresses and keys."""

    environment: Mapping[str, str]
    #: The broker's process.
    kafka_pid: int

    @property
    def bearer(self) -> dict[str, str]:
        """A header that shows the secret key."""
        return {"Authorization": f"Bearer {self.environment['SIGNALBOX_SECRET_KEY']}"}

    @contextlib.contextmanager
    def frozen(self) -> Iterator[None]:
        """The broker does nothing in this block: its connections stay open, and nobody answers."""
        os.kill(self.kafka_pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self.kafka_pid, signal.SIGCONT)


@contextlib.contextmanager
def running(folder: Path, kafka_cores: frozenset[int]) -> Iterator[RunningStack]:
    """Apache Kafka, with its topics; removed afterwards. Raises LocalStackError without Java or Maven."""
    root = folder / "stack"
    settings = replace(Settings.from_environ(os.environ), state_dir=root, ports=Ports.free(), broker="apache")
    stack = Stack(settings, lambda line: print(line, file=sys.stderr))
    try:
        variables = stack.up(services=False)
        pid = json.loads((root / "run" / "kafka.json").read_text())["pid"]
        if not isinstance(pid, int):
            raise LocalStackError("the local stack does not say which process Kafka is")
        pin(pid, kafka_cores)
        yield RunningStack(variables, pid)
    finally:
        stack.down()
        shutil.rmtree(root, ignore_errors=True)
