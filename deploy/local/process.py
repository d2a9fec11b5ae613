"""Processes that outlive the command that started them: start, recognise, stop.

A process id alone says little: it is given to somebody else once the process has ended. Each pid file
therefore holds the moment of the start too, and a process counts as ours only when both are right.
"""

import json
import os
import pwd
import signal
import subprocess
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

#: How often a wait looks again.
POLL_S = 0.02

#: Of the kernel's flags for a process (linux/sched.h), and of its pending signals.
_PF_EXITING, _PF_SIGNALED = 0x4, 0x400
_SIGKILL_PENDING = 1 << (signal.SIGKILL - 1)

#: Children of this very process, kept so that their end is noticed and no zombie stays.
_children: dict[int, subprocess.Popen[bytes]] = {}


@dataclass(frozen=True)
class Command:
    """What to run."""

    argv: list[str]
    env: Mapping[str, str]
    cwd: Path
    #: Another user to run it as (only root can), by name.
    user: str | None = None


@dataclass(frozen=True)
class Running:
    """A process of ours as its pid file tells it."""

    pid: int
    #: When it was started: see `started_at`.
    started: str
    #: What of several things that go by one name this is: the Kafka server is `apache` or `embedded`.
    kind: str = ""
    #: The ports it listens on, the main one first.
    ports: list[int] = field(default_factory=list)
    #: The signal that asks it to stop, and the seconds it has before SIGKILL.
    stop_signal: int = int(signal.SIGTERM)
    grace_s: float = 10.0

    def is_alive(self) -> bool:
        return started_at(self.pid) == self.started

    def is_ending(self) -> bool:
        """Whether it is on its way out though it may still answer: killed, or past its last instruction."""
        stat = _stat(self.pid)
        return stat is not None and bool(
            int(stat[6]) & (_PF_EXITING | _PF_SIGNALED) or int(stat[28]) & _SIGKILL_PENDING
        )

    def write(self, path: Path) -> None:
        fresh = path.with_suffix(".new")
        fresh.write_text(json.dumps(asdict(self)) + "\n")
        fresh.replace(path)

    @classmethod
    def read(cls, path: Path) -> "Running | None":
        """What the pid file says, whether or not the process still lives; None where there is no such file.

        A file that makes no sense counts as none: its process, if any, still shows by the port it holds.
        """
        try:
            running = cls(**json.loads(path.read_text()))
        except (FileNotFoundError, ValueError, TypeError):
            return None
        return running if isinstance(running.pid, int) and running.pid > 1 else None


def spawn(command: Command, log: Path) -> int:
    """Start `command` in a session of its own, with all that it prints appended to `log`; returns its pid.

    Raises OSError when the program cannot be run, PermissionError when not as that user.
    """
    with log.open("ab") as output:
        child = subprocess.Popen(
            command.argv,
            env=dict(command.env),
            cwd=command.cwd,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            user=command.user,
            group=_group_of(command.user),
            extra_groups=[] if command.user else None,
        )
    _children[child.pid] = child
    return child.pid


def run(command: Command, timeout_s: float) -> subprocess.CompletedProcess[str]:
    """Run `command` to its end and return what it printed, whatever its exit status.

    Raises OSError when it cannot be run, subprocess.TimeoutExpired when it takes longer.
    """
    return subprocess.run(
        command.argv,
        env=dict(command.env),
        cwd=command.cwd,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=timeout_s,
        check=False,
        user=command.user,
        group=_group_of(command.user),
        extra_groups=[] if command.user else None,
    )


def started_at(pid: int) -> str | None:
    """A text that no other process ever shares: the boot and the tick of its start; None when it has ended.

    A zombie has ended, and holds nothing but its number, once its last thread is gone.
    """
    child = _children.get(pid)
    if child and child.poll() is not None:
        _children.pop(pid, None)
    stat = _stat(pid)
    if stat is None:
        return None if Path("/proc/self/stat").exists() else _started_by_ps(pid)
    if stat[0] in "ZX" and _threads(pid) <= 1:
        return None
    return f"{Path('/proc/sys/kernel/random/boot_id').read_text().strip()}:{stat[19]}"


def stop(running: Running) -> bool:
    """End the process: its own signal first, SIGKILL after its grace. Returning means it is gone.

    Says whether it ended by itself, within its grace.
    """
    if not running.is_alive() or (running.is_ending() and wait_for_end(running, running.grace_s)):
        return False
    _signal(running, running.stop_signal)
    if wait_for_end(running, running.grace_s):
        return True
    _signal(running, signal.SIGKILL)
    wait_for_end(running, 10.0)
    return False


def wait_for_end(running: Running, seconds: float) -> bool:
    """Wait until the process has ended, for so long at most; says whether it has."""
    deadline = time.monotonic() + seconds
    while running.is_alive():
        if time.monotonic() >= deadline:
            return False
        time.sleep(POLL_S)
    return True


def last_lines(log: Path, count: int = 12, after: int = 0) -> list[str]:
    """The end of a log, from byte `after` on, long lines cut."""
    try:
        with log.open("rb") as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(after, size - 16_384))
            lines = file.read().decode("utf-8", "replace").splitlines()
    except OSError:
        return []
    return [line[:300] for line in lines if line.strip()][-count:] if count else []


def memory_bytes(pid: int) -> int | None:
    """The process's and its descendants' memory, shared pages divided among them; None when unknown."""
    parents = _parents()
    family = [pid]
    for member in family:  # it grows while it is walked
        family += [child for child, parent in parents.items() if parent == member]
    sizes = [size for member in family if (size := _proportional_bytes(member)) is not None]
    return sum(sizes) if sizes else None


def _group_of(user: str | None) -> int | None:
    return pwd.getpwnam(user).pw_gid if user else None


def _parents() -> dict[int, int]:
    """Each process's parent."""
    pids = [int(entry.name) for entry in Path("/proc").glob("[0-9]*")]
    return {pid: int(stat[1]) for pid in pids if (stat := _stat(pid))}


def _proportional_bytes(pid: int) -> int | None:
    try:
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
            if line.startswith("Pss:"):
                return int(line.split()[1]) * 1024
    except OSError:
        return None
    return None


def _signal(running: Running, number: int) -> None:
    if running.is_alive():
        try:
            os.kill(running.pid, number)
        except ProcessLookupError:
            return


def _stat(pid: int) -> list[str] | None:
    """The fields of /proc/PID/stat from the state (3rd in proc(5)) on; None where there is no such process."""
    try:
        # The name before them stands in parentheses and may hold anything.
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _threads(pid: int) -> int:
    try:
        return len(os.listdir(f"/proc/{pid}/task"))
    except OSError:
        return 0


def _started_by_ps(pid: int) -> str | None:
    """`started_at` for systems without /proc, to the second."""
    command = Command(["ps", "-o", "stat=,lstart=", "-p", str(pid)], os.environ, Path("/"))
    found = run(command, timeout_s=5.0)
    state, _, started = found.stdout.strip().partition(" ")
    return None if not started or state.startswith("Z") else started.strip()
