"""A server of the stack, and how any of them is brought up."""

import threading
import time
from collections.abc import Callable, Sequence
from typing import Protocol

from deploy.local import process
from deploy.local.errors import LocalStackError, ServerDied
from deploy.local.ports import Port, require_free
from deploy.local.process import Command, Running
from deploy.local.state import State

Say = Callable[[str], None]


class Server(Protocol):
    """One process to run. Its methods are called in the order in which they stand here."""

    #: What it goes by: in `make status`, in its pid file, in its log's name.
    @property
    def name(self) -> str: ...

    #: What it is, for people: `Apache Kafka 4.3.1`.
    @property
    def title(self) -> str: ...

    #: Which of several things of one name it is; empty where there is only one.
    @property
    def kind(self) -> str: ...

    #: Where it listens, the main port first.
    @property
    def ports(self) -> Sequence[Port]: ...

    #: The signal that asks it to stop, and the seconds that it then has.
    @property
    def stop_signal(self) -> int: ...

    @property
    def grace_s(self) -> float: ...

    #: How long it may take from its start until it is ready.
    @property
    def ready_within_s(self) -> float: ...

    def ended(self, clean: bool) -> None:
        """See to what the last process left, once it has ended: `clean` when it was stopped, not killed."""

    def prepare(self, say: Say) -> None:
        """Make what it needs (data folder, configuration), also after a crash. Raises LocalStackError."""

    def command(self) -> Command:
        """What to run."""

    def is_ready(self) -> bool:
        """Whether it does its work now; answers within a few seconds. Raises LocalStackError if never."""

    def complete(self) -> None:
        """Do what can only be done once it is ready."""


class Cancelled(LocalStackError):
    """Another server failed, so this one is not waited for."""


def running(server: Server, state: State) -> Running | None:
    """The process that is `server` now, if it lives.

    Raises LocalStackError when it was started otherwise than the settings now ask, on another port or as
    another kind: what uses it still goes by that, also when it has died since.
    """
    found = Running.read(state.run / f"{server.name}.json")
    if found is None:
        return None
    wanted = [port.number for port in server.ports]
    if found.kind != server.kind:
        raise LocalStackError(
            f"{server.name} was started as {found.kind}, not {server.kind}: make down first"
        )
    if found.ports != wanted:
        raise LocalStackError(
            f"{server.name} was started on port {found.ports[0]}, not {wanted[0]} "
            f"({server.ports[0].variable}): make down first"
        )
    if found.is_alive() and found.is_ending():
        process.wait_for_end(found, found.grace_s)
    return found if found.is_alive() else None


def start(server: Server, state: State, say: Say, cancelled: threading.Event) -> None:
    """Bring `server` up; returning means it is ready.

    One that runs already is only waited for. Raises PortTaken, ServerDied or another LocalStackError.
    """
    began = time.monotonic()
    found = running(server, state)
    if found is None:
        server.prepare(say)
        for port in server.ports:
            require_free(port, server.name)
        state.put_aside_long_log(server.name)
    written = state.log_bytes(server.name)
    found = found or _spawn(server, state)
    _wait_until_ready(server, found, state, written, cancelled)
    server.complete()
    say(f"{server.name:<11} {server.title} on {server.ports[0].number} ({time.monotonic() - began:.1f} s)")


def _spawn(server: Server, state: State) -> Running:
    command, log = server.command(), state.log(server.name)
    try:
        pid = process.spawn(command, log)
    except OSError as error:
        as_whom = f" as user {command.user}" if command.user else ""
        raise LocalStackError(f"{server.name}: cannot run {command.argv[0]}{as_whom}: {error}") from error
    found = Running(
        pid=pid,
        started=process.started_at(pid) or "ended at once",
        kind=server.kind,
        ports=[port.number for port in server.ports],
        stop_signal=server.stop_signal,
        grace_s=server.grace_s,
    )
    found.write(state.run / f"{server.name}.json")
    return found


def _wait_until_ready(
    server: Server, found: Running, state: State, written: int, cancelled: threading.Event
) -> None:
    def died(what: str) -> ServerDied:
        log = state.log(server.name)
        return ServerDied(server.name, what, log, process.last_lines(log, after=written))

    deadline = time.monotonic() + server.ready_within_s
    while not server.is_ready():
        if cancelled.is_set():
            raise Cancelled(f"{server.name} was not waited for")
        if not found.is_alive():
            raise died("ended while it started")
        if time.monotonic() >= deadline:
            raise died(f"was not ready after {server.ready_within_s:.0f} s")
        time.sleep(process.POLL_S)
    if not found.is_alive():  # somebody else answered in its place
        raise died("ended while it started")
