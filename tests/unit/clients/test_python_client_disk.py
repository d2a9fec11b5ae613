"""The Python client's disk queue: what a server that is away does not take waits for it, across restarts, and once."""

import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from signalbox_client import Client, Counts
from tests.unit.clients.collector import Answer, Collector

KEY = "sbsk_test"


@pytest.fixture
def port() -> int:
    """One where nobody listens, until a test does."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "queue"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("signalbox_client.transport.BACKOFF_S", 0.05)


def a_client(port: int, folder: Path, **options: object) -> Client:
    return Client(f"http://127.0.0.1:{port}", KEY, queue_dir=folder, flush_interval_s=0.01, **options)  # type: ignore[arg-type]


def names(collector: Collector) -> list[str]:
    return [event["name"] for event in collector.events]


def files(folder: Path) -> list[Path]:
    return sorted(folder.glob("*/*.json"))


def test_events_wait_on_disk_until_the_server_is_back_in_order(port: int, folder: Path) -> None:
    with a_client(port, folder, batch_events_max=2) as client:
        for n in range(5):
            client.track_event(f"e{n}")
        assert not client.flush(timeout_s=0.3)
        assert sum(int(path.stem.rpartition("-")[2]) for path in files(folder)) == 5
        assert client.counts() == Counts(tracked=5, waiting=5)
        with Collector(port=port) as collector:
            assert client.flush()
            assert names(collector) == [f"e{n}" for n in range(5)]
        assert client.counts() == Counts(tracked=5, accepted=5)
        assert files(folder) == []


def test_what_one_process_leaves_the_next_one_sends(port: int, folder: Path) -> None:
    first = a_client(port, folder)
    first.track_event("left")
    first.close()
    assert first.counts() == Counts(tracked=1, waiting=1)
    assert len(files(folder)) == 1

    with Collector(port=port) as collector, a_client(port, folder) as second:
        second.track_event("new")
        collector.wait_until(lambda c: len(c.events) == 2)
        assert second.flush()
        assert second.counts() == Counts(tracked=2, accepted=2)
        assert sorted(names(collector)) == ["left", "new"]
    assert [path for path in folder.iterdir() if not path.name.startswith(".")] == []


def test_what_a_killed_process_leaves_is_sent_and_what_a_living_one_has_is_not_touched(
    port: int, folder: Path
) -> None:
    script = f"""
import sys, time
from signalbox_client import Client
client = Client("http://127.0.0.1:{port}", {KEY!r}, queue_dir={str(folder)!r}, flush_interval_s=0.01)
client.track_event("killed")
client.flush(timeout_s=0.5)
print("kept", flush=True)
time.sleep(60)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"kept\n"
        with Collector(port=port) as collector:
            # The living one would send it by itself, so it is stopped for as long as another looks at the folder.
            process.send_signal(signal.SIGSTOP)
            with a_client(port, folder) as other:
                other.track_event("other")
                assert other.flush()
            assert names(collector) == ["other"]
            process.kill()
            process.wait()
            with a_client(port, folder) as next_one:
                next_one.track_event("next")
                collector.wait_until(lambda c: len(c.events) == 3)
                assert next_one.flush()
            assert sorted(names(collector)) == ["killed", "next", "other"]


def test_the_disk_is_bounded_and_what_falls_out_is_counted(port: int, folder: Path) -> None:
    client = a_client(port, folder, queue_bytes_max=2_000, batch_events_max=1)
    for n in range(50):
        client.track_event(f"e{n}")
    client.close()
    counts = client.counts()
    assert (counts.tracked, counts.accepted, counts.dropped + counts.waiting) == (50, 0, 50)
    assert 0 < counts.waiting < 20
    assert sum(path.stat().st_size for path in files(folder)) <= 2_000
    assert b"e49" in files(folder)[-1].read_bytes(), "the newest are kept"


def test_a_batch_that_the_server_fails_on_does_not_hold_up_the_disk(port: int, folder: Path) -> None:
    with Collector(port=port) as collector, a_client(port, folder) as client:
        collector.answers += [Answer(500)] * 4
        client.track_event("poison")
        assert client.flush()
        client.track_event("fine")
        assert client.flush()
        assert client.counts() == Counts(tracked=2, accepted=1, dropped=1)


def test_what_is_refused_leaves_the_disk(port: int, folder: Path) -> None:
    with a_client(port, folder) as client:
        client.track_event("bad")
        assert not client.flush(timeout_s=0.2)
        with Collector(port=port) as collector:
            collector.answers.append(Answer(422, body={"detail": "no"}))
            assert client.flush()
        assert client.counts() == Counts(tracked=1, rejected=1)
        assert files(folder) == []


def test_a_batch_sent_twice_has_the_same_ids(port: int, folder: Path) -> None:
    """Killed after the answer and before the removal is what this looks like to the server."""
    with Collector(port=port) as collector:
        collector.answers.append(Answer(503, {"Retry-After": "0"}))
        with a_client(port, folder) as client:
            client.track_event("twice")
            assert client.flush()
        first, second = collector.requests
        assert first.json() == second.json()


def test_a_forked_child_has_a_queue_of_its_own(port: int, folder: Path) -> None:
    script = f"""
import os
from signalbox_client import Client
client = Client("http://127.0.0.1:{port}", {KEY!r}, queue_dir={str(folder)!r}, flush_interval_s=0.01)
client.track_event("parent")
client.flush(timeout_s=0.5)
child = os.fork()
if child == 0:
    client.track_event("child")
    client.close()
    os._exit(0)
os.waitpid(child, 0)
assert client.counts().waiting == 1, client.counts()
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=30)
    assert [len(list(path.iterdir())) for path in sorted({path.parent for path in files(folder)})] == [2, 2]
    with Collector(port=port) as collector, a_client(port, folder) as client:
        client.track_event("later")
        collector.wait_until(lambda c: len(c.events) == 3)
        assert client.flush()
        assert sorted(names(collector)) == ["child", "later", "parent"]


def test_a_folder_that_cannot_be_written_loses_events_and_nothing_else(port: int, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    client = a_client(port, tmp_path / "file" / "queue")
    client.track_event("lost")
    assert client.flush()
    client.close()
    assert client.counts() == Counts(tracked=1, dropped=1)
