"""Which process is ours, and how it is ended."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from deploy.local import process
from deploy.local.process import Command, Running


@contextmanager
def running(tmp_path: Path, program: str, grace_s: float = 5.0) -> Iterator[Running]:
    """A Python program started as a server would be, after it has printed a line."""
    log = tmp_path / "log"
    pid = process.spawn(Command([sys.executable, "-u", "-c", program], os.environ, tmp_path), log)
    found = Running(pid=pid, started=process.started_at(pid) or "", grace_s=grace_s)
    try:
        while found.is_alive() and not log.read_text():
            pass
        yield found
    finally:
        process.stop(replace(found, grace_s=0))


WAITS = "print('up'); import signal; signal.pause()"
IGNORES_SIGTERM = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('up'); signal.pause()"


def test_a_process_is_recognised_by_its_pid_file(tmp_path: Path) -> None:
    with running(tmp_path, WAITS) as server:
        replace(server, kind="apache", ports=[1, 2]).write(tmp_path / "kafka.json")
        found = Running.read(tmp_path / "kafka.json")
        assert found is not None
        assert found.is_alive()
        assert (found.pid, found.kind, found.ports) == (server.pid, "apache", [1, 2])


def test_another_process_with_the_same_pid_is_not_ours_and_is_left_alone(tmp_path: Path) -> None:
    with running(tmp_path, WAITS) as other:
        ours = replace(other, started="an earlier moment")
        assert not ours.is_alive()
        assert not process.stop(ours)
        assert other.is_alive()


def test_a_stopped_process_ended_by_itself(tmp_path: Path) -> None:
    with running(tmp_path, WAITS) as server:
        assert process.stop(server)
        assert not server.is_alive()


def test_a_process_that_ignores_the_signal_is_killed_after_its_grace(tmp_path: Path) -> None:
    with running(tmp_path, IGNORES_SIGTERM, grace_s=0.2) as server:
        assert not process.stop(server)
        assert not server.is_alive()


def test_its_own_signal_is_used(tmp_path: Path) -> None:
    prints_signal = (
        "import signal; signal.signal(2, lambda *_: exit(print('got 2'))); print('up'); signal.pause()"
    )
    with running(tmp_path, prints_signal) as server:
        assert process.stop(replace(server, stop_signal=int(signal.SIGINT)))
    assert (tmp_path / "log").read_text() == "up\ngot 2\n"


def test_a_zombie_has_ended() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    try:
        os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
        assert process.started_at(child.pid) is None
    finally:
        child.wait()


def test_a_server_has_its_own_session_so_that_ctrl_c_does_not_reach_it(tmp_path: Path) -> None:
    with running(tmp_path, WAITS) as server:
        assert os.getsid(server.pid) == server.pid


def test_a_damaged_pid_file_names_nobody(tmp_path: Path) -> None:
    pid_file = tmp_path / "redis.json"
    assert Running.read(pid_file) is None
    for text in (
        "",
        "{",
        "[]",
        '{"pid": "x", "started": ""}',
        '{"other": 1}',
        json.dumps({"pid": 1, "started": ""}),
    ):
        pid_file.write_text(text)
        assert Running.read(pid_file) is None, text


def test_the_last_lines_are_those_of_this_run(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_text("of the run before\n")
    before = log.stat().st_size
    with log.open("a") as file:
        file.write("one\n\n" + "x" * 1_000 + "\n")
    assert process.last_lines(log, after=before) == ["one", "x" * 300]
    assert process.last_lines(tmp_path / "none") == []


def test_memory_counts_children_too(tmp_path: Path) -> None:
    parent = f"import subprocess; subprocess.Popen([{sys.executable!r}, '-c', {WAITS!r}]).wait()"
    with running(tmp_path, parent) as server:
        alone = process._proportional_bytes(server.pid)
        family = process.memory_bytes(server.pid)
        assert alone is not None
        assert family is not None
        assert family > alone > 0
        for pid, ppid in process._parents().items():
            if ppid == server.pid:
                os.kill(pid, signal.SIGKILL)
