"""What `make status` and `make logs` show."""

import os
from dataclasses import replace
from pathlib import Path

import pytest

from deploy.local import logs, process, status
from deploy.local.errors import LocalStackError
from deploy.local.process import Running
from deploy.local.settings import Settings
from deploy.local.state import State


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    State(tmp_path).prepare()
    return Settings(state_dir=tmp_path)


def rows(settings: Settings) -> dict[str, status.Row]:
    return {row.name: row for row in status.rows(settings)}


def this_process() -> Running:
    return Running(os.getpid(), process.started_at(os.getpid()) or "")


def test_nothing_started_is_stopped_and_no_folder_is_made(tmp_path: Path) -> None:
    found = rows(Settings(state_dir=tmp_path / "none"))
    assert list(found) == ["postgres", "redis", "kafka", "ingest", "jobs", "cache"]
    assert {row.state for row in found.values()} == {"stopped"}
    assert not (tmp_path / "none").exists()


def test_each_state_is_told_apart(settings: Settings) -> None:
    run = settings.state_dir / "run"
    this_process().write(run / "kafka.json")
    replace(this_process(), ports=[1]).write(run / "redis.json")
    replace(this_process(), started="before the restart").write(run / "postgres.json")
    found = rows(settings)
    assert [found[name].state for name in ("kafka", "redis", "postgres")] == ["ready", "not ready", "died"]
    assert (found["kafka"].memory_bytes or 0) > 1_000_000
    assert found["postgres"].pid is None


def test_a_further_replica_has_its_row(settings: Settings) -> None:
    this_process().write(settings.state_dir / "run" / "prometheus.json")
    assert list(rows(replace(settings, cache_replicas=2)))[-3:] == ["cache", "cache-2", "prometheus"]


def test_the_table_has_headings_and_a_line_for_each(settings: Settings) -> None:
    lines = status.table(status.rows(settings)).splitlines()
    assert lines[0].split() == ["NAME", "PID", "PORT", "STATE", "MEMORY", "LOG"]
    assert lines[3].split() == ["kafka", "-", "-", "stopped", "-", "-"]


def test_a_log_that_is_not_there_is_an_error_that_names_those_that_are(settings: Settings) -> None:
    state = State(settings.state_dir)
    with pytest.raises(LocalStackError, match="make up makes them"):
        logs.of(state, None)
    state.log("redis").write_text("up\n")
    with pytest.raises(LocalStackError, match=r"no log of kafka .*there are: redis"):
        logs.of(state, "kafka")
    assert list(logs.ends(logs.of(state, None), 5)) == [f"==> {state.log('redis')} <==", "up", ""]
