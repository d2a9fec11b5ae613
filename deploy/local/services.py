"""The services: each is `python -m services.NAME`, ready when its `/readyz` says so."""

import signal
import sys
import urllib.error
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass, field

from deploy.local.ports import Port
from deploy.local.process import Command
from deploy.local.server import Say
from deploy.local.settings import PROJECT, Settings

#: Those that are servers; loadgen is a command.
MODULES = ("ingest", "jobs", "cache")


@dataclass(frozen=True)
class Service:
    """One process of a service."""

    module: str
    #: 0 for the first process of a service, 1 for its second, ...
    replica: int
    port: Port
    #: What a client on this machine calls it by.
    host: str
    #: The environment it runs in; filled once the servers that it needs are up.
    environ: Mapping[str, str] = field(default_factory=dict, repr=False)

    kind = ""
    stop_signal = int(signal.SIGTERM)
    grace_s = 20.0  # twice what a service gives the requests under way
    ready_within_s = 60.0

    @property
    def name(self) -> str:
        return f"{self.module}-{self.replica + 1}" if self.replica else self.module

    @property
    def title(self) -> str:
        return f"services.{self.module}"

    @property
    def ports(self) -> list[Port]:
        return [self.port]

    @property
    def url(self) -> str:
        return f"http://{self.host}:{self.port.number}"

    def ended(self, clean: bool) -> None:
        """It leaves nothing behind."""

    def prepare(self, say: Say) -> None:
        """It needs nothing of its own."""

    def command(self) -> Command:
        # A replica is told its own port in the variable that moves its service's.
        environ = {**self.environ, self.port.variable: str(self.port.number), "PYTHONUNBUFFERED": "1"}
        return Command([sys.executable, "-m", f"services.{self.module}"], environ, PROJECT)

    def is_ready(self) -> bool:
        return answers(f"{self.url}/readyz")

    def complete(self) -> None:
        """Nothing is left to do."""


def all_of(settings: Settings, environ: Mapping[str, str]) -> list[Service]:
    """Every process of every service."""
    host = "127.0.0.1" if settings.host in ("0.0.0.0", "::", "") else settings.host
    return [
        Service(module, replica, settings.ports.port(module, replica), host, environ)
        for module in MODULES
        for replica in range(settings.cache_replicas if module == "cache" else 1)
    ]


def answers(url: str) -> bool:
    """Whether a GET is answered with a success within two seconds."""
    try:
        # Without the proxies of the environment: the address is on this machine.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(url, timeout=2.0):
            return True
    except (OSError, urllib.error.URLError):
        return False
