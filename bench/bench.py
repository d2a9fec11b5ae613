"""What the cases of a benchmark share: servers that are started when asked for, load on them, and the report."""

import contextlib
import json
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from bench import payloads
from bench.report import Case, Measured, Report
from bench.runs import Cores, Runs, Window
from bench.servers import Server
from bench.stack import RunningStack
from bench.wrk import Wrk
from deploy.local.errors import LocalStackError
from deploy.local.ports import Ports

_CONNECTIONS = 64
#: So that what is measured is the server, and not how much a key may send, or how large a spool may be.
_UNLIMITED = {
    "SIGNALBOX_RATE_LIMITS_PER_MINUTE": "{}",
    "SIGNALBOX_INGEST_SPOOL_BYTES_MAX": str(8 * 1024**3),
    "SIGNALBOX_LOG_LEVEL": "warning",
}
_SPOOLS_WITHIN_S = 30.0


class Bench:
    """One run of one benchmark."""

    def __init__(self, runs: Runs, cores: Cores, kafka: RunningStack, report: Report) -> None:
        self.runs = runs
        self.cores = cores
        self.kafka = kafka
        self._report = report
        self.single = payloads.write(payloads.page_view, runs.folder)
        self.batch = payloads.write(payloads.vitals, runs.folder)
        self._servers = ExitStack()
        self._ingest: dict[object, Server] = {}

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """Servers that are started in this block are stopped at its end."""
        with ExitStack() as self._servers:
            yield
        self._ingest.clear()

    def ingest(self, *, workers: int = 1, everywhere: bool = False, limits: Mapping[str, str] = {}) -> Server:
        """A running ingest; the same one when it is asked for again."""
        asked = (workers, everywhere, *limits.items())
        if asked not in self._ingest:
            name = f"ingest-{len(self._ingest)}"
            port = Ports.free().ingest
            environment = {
                **self.kafka.environment,
                **_UNLIMITED,
                **limits,
                "SIGNALBOX_INGEST_WORKERS": str(workers),
                "SIGNALBOX_INGEST_PORT": str(port),
                "SIGNALBOX_STATE_DIR": str(self.runs.folder / "stack" / name),
            }
            cores = self.cores.all if everywhere else self.cores.server
            server = Server.python(
                "services.ingest", environment, name=name, port=port, cores=cores, folder=self.runs.folder
            )
            self._ingest[asked] = self._servers.enter_context(server)
        return self._ingest[asked]

    def python_peer(self, module: str) -> Server:
        """A started Python peer, which gets its port as its argument."""
        port = Ports.free().ingest
        server = Server.python(
            f"bench.peers.{module}", self.kafka.environment, str(port),
            name=module, port=port, cores=self.cores.server, folder=self.runs.folder,
        )  # fmt: skip
        return self._servers.enter_context(server)

    def peer(self, name: str, command: Sequence[str], environment: Mapping[str, str]) -> Server:
        """A started peer, which gets its port as its last argument."""
        port = Ports.free().ingest
        variables = {**self.kafka.environment, **environment}
        server = Server(
            [*command, str(port)],
            variables,
            name=name,
            port=port,
            cores=self.cores.server,
            folder=self.runs.folder,
        )
        return self._servers.enter_context(server)

    def load(
        self,
        server: Server,
        path: str,
        bodies: Path,
        *,
        events: int = 1,
        key: bool = True,
        connections: int = _CONNECTIONS,
        refused: bool = False,
    ) -> Window:
        """Windows of load on a server; `events` are in each body."""
        headers = {"Content-Type": "application/json", **(self.kafka.bearer if key else {})}
        wrk = Wrk(server.url, path, bodies, headers, self.cores.others, connections, events)
        return lambda seconds: wrk.measure(seconds, server.pids, refused=refused)

    def compare(
        self, case: str, ours: Window, peer: str, theirs: Window, unit: str, *, ratio: bool = True
    ) -> None:
        """Measure both in turns, and add the case."""
        mine, other = self.runs.side_by_side([ours, theirs])
        self.add(case, mine, peer, other, unit, ratio=ratio)

    def alone(self, window: Window) -> list[Measured]:
        """Measure one side that cannot take turns with the other."""
        [measured] = self.runs.side_by_side([window])
        return measured

    def add(
        self,
        case: str,
        ours: Sequence[Measured],
        peer: str,
        theirs: Sequence[Measured],
        unit: str,
        *,
        ratio: bool = True,
    ) -> None:
        """Add a case that was measured; its ratio is one of the promised ones unless `ratio` is false."""
        self._report.add(Case.of(case, ours, peer, theirs, unit), ratio=ratio)

    def wait_for_spool(self, server: Server) -> None:
        """Return when an event is answered from the disk. Raises LocalStackError when that does not come about."""
        request = urllib.request.Request(
            f"{server.url}/v1/events", json.dumps({"type": "page_view"}).encode(), self.kafka.bearer
        )
        deadline = time.monotonic() + _SPOOLS_WITHIN_S
        while time.monotonic() < deadline:
            with urllib.request.urlopen(request, timeout=_SPOOLS_WITHIN_S) as answer:
                if answer.headers["X-Signalbox-Durability"] == "spool":
                    return
        raise LocalStackError(f"{server.name} does not spool without Kafka")
