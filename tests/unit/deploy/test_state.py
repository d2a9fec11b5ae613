"""The state folder."""

import threading
from pathlib import Path

import pytest

from deploy.local.errors import StateError
from deploy.local.state import LOG_BYTES_MAX, State


def test_a_file_in_its_place_is_named_with_the_variable_and_the_logs(tmp_path: Path) -> None:
    (tmp_path / "state").write_text("")
    with pytest.raises(StateError) as caught:
        State(tmp_path / "state").prepare()
    for part in (f"{tmp_path}/state: a file", "SIGNALBOX_STATE_DIR", f"{tmp_path}/state/log"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_in_place_of_a_servers_folder_is_named(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.prepare()
    (tmp_path / "kafka").write_text("")
    with pytest.raises(StateError, match="kafka: a file is where a folder should be"):
        state.folder("kafka")


def test_a_second_one_waits_until_the_first_is_done(tmp_path: Path) -> None:
    state, order, told = State(tmp_path), list[str](), list[str]()
    waiting = threading.Event()

    def say(line: str) -> None:
        told.append(line)
        waiting.set()

    def second() -> None:
        with State(tmp_path).locked(say):
            order.append("second")

    state.prepare()
    thread = threading.Thread(target=second)
    with state.locked(told.append):
        thread.start()
        assert waiting.wait(5)
        order.append("first")
    thread.join(5)
    assert order == ["first", "second"]
    assert told == [f"waiting for another make up or down in {tmp_path}"]


def test_a_private_file_is_replaced_whole(tmp_path: Path) -> None:
    path = tmp_path / "env"
    path.write_text("old")
    State(tmp_path).write_private(path, "new")
    assert path.read_text() == "new"
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


def test_a_long_log_is_put_aside(tmp_path: Path) -> None:
    state = State(tmp_path)
    state.prepare()
    state.log("kafka").write_text("short")
    state.put_aside_long_log("kafka")
    assert state.log_bytes("kafka") == 5
    with state.log("kafka").open("r+b") as log:
        log.truncate(LOG_BYTES_MAX + 1)
    state.put_aside_long_log("kafka")
    assert state.log_bytes("kafka") == 0
    assert state.log("kafka.old").exists()
