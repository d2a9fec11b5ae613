"""A stack to hurt: of its own, on free ports, in a folder that is removed, with a supervisor that brings back what dies.

Every fault is proved before anything is brought back: the process is gone or stopped, and nobody answers.
"""

import contextlib
import os
import shutil
import signal
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from deploy.local import broker, process, services
from deploy.local.errors import LocalStackError
from deploy.local.kafka import has_broker
from deploy.local.ports import Ports, accepts
from deploy.local.process import Running
from deploy.local.server import Say, Server, start
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from tests.chaos.checker import Down

_LOOK_S = 0.02
_GONE_WITHIN_S = 10.0
#: How long a fault may wait for its victim to be started once more.
_VICTIM_WITHIN_S = 90.0


class FaultNotProved(Exception):
    """A fault was made, and its victim did not show it."""


@dataclass(frozen=True)
class Fault:
    """Something that was done to a process, and what proves it."""

    #: Seconds of the monotonic clock.
    at: float
    target: str
    fault: str
    pid: int
    proof: str

    def told(self, began: float) -> dict[str, object]:
        """For the report, with a time that counts from `began`."""
        return {**asdict(self), "at": round(self.at - began, 2)}


class Keeper:
    """Starts one server again whenever it has died, as a supervisor would, unless it is `held`."""

    def __init__(self, server: Server, stack: Stack) -> None:
        self.server = server
        #: Every stretch in which it could not answer; the last one may be open (`ended` is infinite).
        self.down: list[Down] = []
        #: Times that it died though nobody killed it.
        self.crashes = 0
        self._stack = stack
        self._held = threading.Event()
        self._closing = threading.Event()
        self._killed: set[int] = set()
        self._thread = threading.Thread(target=self._keep, name=f"keeper-{server.name}", daemon=True)
        self._thread.start()

    def running(self) -> Running | None:
        """Its process, if it lives."""
        found = Running.read(self._stack.state.run / f"{self.server.name}.json")
        return found if found is not None and found.is_alive() else None

    def kill(self, *, hold: bool = False) -> Fault:
        """SIGKILL; with `hold` it stays dead until `release`. Raises FaultNotProved."""
        victim = self._victim()
        self._held.set()
        self._killed.add(victim.pid)
        at = time.monotonic()
        self._mark_down(at)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(victim.pid, signal.SIGKILL)
        if not process.wait_for_end(victim, _GONE_WITHIN_S):
            raise FaultNotProved(f"{self.server.name} (pid {victim.pid}) lives on after SIGKILL")
        proof = self._prove_silence(f"pid {victim.pid} is gone")
        if not hold:
            self._held.clear()
        return Fault(at, self.server.name, "SIGKILL", victim.pid, proof)

    def require_dead(self) -> None:
        """Raises FaultNotProved when a held server lives."""
        if self.running() is not None or accepts(self.server.ports[0].number):
            raise FaultNotProved(f"{self.server.name} came back by itself")

    def release(self) -> None:
        """Bring it back."""
        self._held.clear()

    def freeze(self, seconds: float) -> Fault:
        """SIGSTOP for so long. Raises FaultNotProved."""
        victim = self._victim()
        at = time.monotonic()
        os.killpg(victim.pid, signal.SIGSTOP)
        try:
            state = _states(victim.pid)
            if state - {"T"}:
                raise FaultNotProved(f"{self.server.name} (pid {victim.pid}) is {state} after SIGSTOP")
            if self.server.name == "kafka" and has_broker(self.server.ports[0]):
                raise FaultNotProved(f"{self.server.name} answers after SIGSTOP")
            time.sleep(max(0.0, at + seconds - time.monotonic()))  # the fault itself lasts so long
        finally:
            lasted = time.monotonic() - at
            os.killpg(victim.pid, signal.SIGCONT)
        proof = f"all threads stopped, no answer; for {lasted:.1f} s"
        return Fault(at, self.server.name, "SIGSTOP", victim.pid, proof)

    def close(self) -> None:
        self._closing.set()
        self._thread.join()

    def _victim(self) -> Running:
        deadline = time.monotonic() + _VICTIM_WITHIN_S
        while (victim := self.running()) is None:
            if time.monotonic() > deadline:
                raise FaultNotProved(f"{self.server.name} did not come back, so it cannot be hurt again")
            time.sleep(_LOOK_S)
        return victim

    def _prove_silence(self, proof: str) -> str:
        port = self.server.ports[0].number
        if accepts(port):
            raise FaultNotProved(f"{self.server.name}: {proof}, and port {port} takes connections")
        return f"{proof}, port {port} refuses"

    def _keep(self) -> None:
        """In a thread, until `close`."""
        while not self._closing.wait(_LOOK_S):
            if self._held.is_set() or self.running() is not None:
                continue
            before = Running.read(self._stack.state.run / f"{self.server.name}.json")
            if before is not None and before.pid not in self._killed:
                self.crashes += 1
                self._killed.add(before.pid)
                self._mark_down(time.monotonic())
            with contextlib.suppress(LocalStackError):  # killed while it started: once more
                self.server.ended(clean=False)
                start(self.server, self._stack.state, lambda _: None, self._closing)
                self._mark_up(time.monotonic())

    def _mark_down(self, at: float) -> None:
        if not self.down or self.down[-1].ended < at:
            self.down.append(Down(at, float("inf")))

    def _mark_up(self, at: float) -> None:
        if self.down:
            self.down[-1] = self.down[-1]._replace(ended=min(self.down[-1].ended, at))


@dataclass
class Site:
    """The running stack; `variables` are those of `.local/env`."""

    folder: Path
    variables: dict[str, str]
    ingest: Keeper
    kafka: Keeper
    jobs: Keeper


@contextlib.contextmanager
def site(settings: Settings, say: Say) -> Iterator[Site]:
    """Start it, on Apache Kafka: another broker keeps no promise that could be tested. Raises LocalStackError."""
    folder = Path(tempfile.mkdtemp(prefix="signalbox-chaos-"))
    folder.chmod(0o755)  # PostgreSQL runs as another user when we are root
    own = replace(settings, state_dir=folder, ports=Ports.free(), broker="apache", host="127.0.0.1")
    stack = Stack(own, say)
    keepers: list[Keeper] = []
    try:
        variables = stack.up()
        environ = {**own.environ, **variables, "SIGNALBOX_STATE_DIR": str(folder)}
        by_name = {service.name: service for service in services.all_of(own, environ)}
        servers: list[Server] = [by_name["ingest"], broker.select(own, stack.state, say), by_name["jobs"]]
        keepers = [Keeper(server, stack) for server in servers]
        yield Site(folder, variables, *keepers)
    finally:
        for keeper in keepers:
            keeper.close()
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


def _states(pid: int) -> set[str]:
    """The states of a process's threads, once they have had a moment to take the signal (proc(5))."""
    deadline = time.monotonic() + 1.0
    while True:
        states = set()
        for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
            with contextlib.suppress(OSError):  # that thread has just ended
                states.add(stat.read_text().rpartition(")")[2].split()[0])
        if states == {"T"} or time.monotonic() > deadline:
            return states
        time.sleep(_LOOK_S)
