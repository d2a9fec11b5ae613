"""Ingest: events a second, each answered after Apache Kafka has it (acks=all, idempotent), over peers and limits.

The server has one core to itself; wrk and the broker have the others. "ours" and its peer take turns.
"""

import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path

from bench import payloads, stack
from bench.report import Case, Measured, Report, versions_of
from bench.runs import Cores, Runs, Window
from bench.servers import Server
from bench.stack import RunningStack
from bench.wrk import Wrk, WrkMissing, program
from deploy.local.ports import Ports
from deploy.local.settings import PROJECT

_CONNECTIONS = 64


def run(runs: Runs) -> Report:
    """All cases. Raises LocalStackError when the stack or a server of ours does not start."""
    report = Report("ingest", runs.count, versions_of("aiokafka", "fastapi", "msgspec", "uvicorn", "uvloop"))
    try:
        program()
    except WrkMissing as error:
        report.missing["wrk"] = str(error)
        return report
    cores = Cores.of_the_machine()
    with stack.running(runs.folder, cores.others) as kafka:
        bench = Bench(runs, cores, kafka, report)
        for case, measure in CASES.items():
            if runs.wants(case):
                print(f"{case} ...", file=sys.stderr, flush=True)
                measure(bench, case)
    return report


class Bench:
    """What all cases share."""

    def __init__(self, runs: Runs, cores: Cores, kafka: RunningStack, report: Report) -> None:
        self.runs = runs
        self.cores = cores
        self.kafka = kafka
        self.report = report
        self.single = payloads.write(payloads.page_view, runs.folder)
        self.batch = payloads.write(payloads.vitals, runs.folder)

    def ingest(self, running: ExitStack, *, workers: int = 1, cores: frozenset[int] | None = None) -> Server:
        """A started ingest."""
        variables = {**self.kafka.environment, "SIGNALBOX_INGEST_WORKERS": str(workers), **_UNLIMITED}
        return self._start(running, "services.ingest", variables, by="SIGNALBOX_INGEST_PORT", cores=cores)

    def peer(self, running: ExitStack, module: str) -> Server:
        """A started Python peer, which gets its port as its argument."""
        return self._start(running, f"bench.peers.{module}", self.kafka.environment)

    def load(self, server: Server, path: str, bodies: Path, *, events: int = 1, key: bool = True) -> Window:
        """Windows of load on a server."""
        headers = {"Content-Type": "application/json", **(self.kafka.bearer if key else {})}
        wrk = Wrk(server.url, path, bodies, headers, self.cores.others, _CONNECTIONS, events)
        return lambda seconds: wrk.measure(seconds, server.pids)

    def compare(
        self, case: str, ours: Window, peer: str, theirs: Window, unit: str, *, ratio: bool = True
    ) -> None:
        """Measure both, and add the case."""
        mine, other = self.runs.side_by_side([ours, theirs])
        self.report.add(Case.of(case, mine, peer, other, unit), ratio=ratio)

    def _start(
        self,
        running: ExitStack,
        module: str,
        variables: Mapping[str, str],
        *,
        by: str = "",
        cores: frozenset[int] | None = None,
    ) -> Server:
        port = Ports.free().ingest
        server = Server.python(
            module,
            module,
            *([] if by else [str(port)]),
            port=port,
            cores=cores or self.cores.server,
            log=self.runs.folder / f"{module}.log",
            environment={**variables, **({by: str(port)} if by else {})},
        )
        return running.enter_context(server)


def single_vs_bare_204(bench: Bench, case: str) -> None:
    with ExitStack() as running:
        ours = bench.load(bench.ingest(running), "/v1/events", bench.single)
        bare = bench.load(bench.peer(running, "bare_204"), "/", bench.single, key=False)
        bench.compare(case, ours, "uvicorn, empty 204", bare, "requests/s")


def single_vs_plain_fastapi(bench: Bench, case: str) -> None:
    with ExitStack() as running:
        ours = bench.load(bench.ingest(running), "/v1/events", bench.single)
        plain = bench.load(bench.peer(running, "plain_fastapi"), "/v1/event", bench.single, key=False)
        bench.compare(case, ours, "FastAPI, pydantic, send_and_wait", plain, "requests/s")


def batch20_vs_plain_fastapi(bench: Bench, case: str) -> None:
    with ExitStack() as running:
        ours = bench.load(bench.ingest(running), "/v1/events", bench.batch, events=20)
        plain = bench.load(
            bench.peer(running, "plain_fastapi"), "/v1/events", bench.batch, events=20, key=False
        )
        bench.compare(case, ours, "FastAPI, pydantic, send_and_wait", plain, "events/s", ratio=False)


def batch20_vs_send(bench: Bench, case: str) -> None:
    """Over the records that ingest makes of the same events, with their keys and headers; and over bare values."""
    with ExitStack() as running:
        ours = bench.load(bench.ingest(running), "/v1/events", bench.batch, events=20)
        bench.compare(case, ours, "AIOKafkaProducer.send, same records", _producer(bench, "full"), "events/s")
        plain = _producer(bench, "plain")
        bench.compare(
            f"{case}_of_values", ours, "AIOKafkaProducer.send, values alone", plain, "events/s", ratio=False
        )


def two_workers_vs_one(bench: Bench, case: str) -> None:
    """On all cores, which load and broker share with the server."""
    with ExitStack() as running:
        two = bench.ingest(running, workers=2, cores=bench.cores.all)
        one = bench.ingest(running, cores=bench.cores.all)
        bench.compare(
            case, bench.load(two, "/v1/events", bench.single), "one worker",
            bench.load(one, "/v1/events", bench.single), "requests/s",
        )  # fmt: skip


CASES: dict[str, Callable[[Bench, str], None]] = {
    case.__name__: case
    for case in (
        single_vs_bare_204,
        batch20_vs_send,
        single_vs_plain_fastapi,
        batch20_vs_plain_fastapi,
        two_workers_vs_one,
    )
}
_UNLIMITED: dict[str, str] = {}


def _producer(bench: Bench, kind: str) -> Window:
    """A producer without HTTP, in a process on the server's core."""
    core = ",".join(str(one) for one in sorted(bench.cores.server))

    def window(seconds: float) -> Measured:
        done = subprocess.run(
            [
                "taskset",
                "-c",
                core,
                sys.executable,
                "-m",
                "bench.peers.producer",
                bench.batch,
                kind,
                str(seconds),
            ],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", **bench.kafka.environment},
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=True,
        )
        records, taken, cpu = (float(word) for word in done.stdout.split())
        return Measured(records / taken, cpu / records * 1e6)

    return window
