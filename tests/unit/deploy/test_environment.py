"""`.local/env` and the keys in it."""

import subprocess
from pathlib import Path

import pytest
from dotenv import dotenv_values

from deploy.local import environment, services
from deploy.local.environment import Keys
from deploy.local.errors import StateError
from deploy.local.settings import Settings
from deploy.local.state import State


@pytest.fixture
def state(tmp_path: Path) -> State:
    state = State(tmp_path / "state")
    state.prepare()
    return state


def variables(state: State, **environ: str) -> dict[str, str]:
    return environment.variables(
        services=services.all_of(Settings.from_environ(environ), {}),
        keys=Keys.of(state),
        kafka=19092,
        idempotence=True,
        dsn="postgresql://signalbox:0123@127.0.0.1:15432/signalbox",
        redis_url="redis://127.0.0.1:16379/0",
    )


def test_keys_are_made_once_and_are_for_this_user_alone(state: State) -> None:
    first = Keys.of(state)
    assert Keys.of(state) == first
    assert first.public.startswith("sbpk_")
    assert first.secret.startswith("sbsk_")
    assert state.keys.stat().st_mode & 0o777 == 0o600


def test_damaged_keys_are_an_error_that_names_the_file(state: State) -> None:
    state.keys.write_text("SIGNALBOX_PUBLIC_KEY=sbpk_1\n")
    with pytest.raises(StateError, match="SIGNALBOX_SECRET_KEY") as caught:
        Keys.of(state)
    assert str(state.keys) in str(caught.value)
    assert "SIGNALBOX_STATE_DIR" in str(caught.value)


def test_the_file_has_what_the_contract_names(state: State) -> None:
    values = variables(state)
    names = "INGEST_URL JOBS_URL CACHE_URL KAFKA_BOOTSTRAP_SERVERS POSTGRES_DSN REDIS_URL"
    names += " SIGNALBOX_PUBLIC_KEY SIGNALBOX_SECRET_KEY SENTRY_DSN"
    assert set(names.split()) <= set(values)
    assert values["SENTRY_DSN"] == f"http://{values['SIGNALBOX_PUBLIC_KEY']}@127.0.0.1:8001/1"


def test_every_cache_replica_is_named(state: State) -> None:
    values = variables(state, CACHE_REPLICAS="2")
    assert values["CACHE_URL"] == "http://127.0.0.1:8003"
    assert values["CACHE_URLS"] == "http://127.0.0.1:8003,http://127.0.0.1:8103"


def test_services_bound_to_every_address_are_called_by_the_loopback_one(state: State) -> None:
    assert variables(state, SIGNALBOX_HOST="0.0.0.0")["JOBS_URL"] == "http://127.0.0.1:8002"


def test_a_shell_and_dotenv_and_we_read_the_same(state: State) -> None:
    values = variables(state)
    state.write_private(state.env, environment.render(values))
    script = f"set -a; . {state.env}; env -0"
    shell = subprocess.run(["sh", "-c", script], env={}, capture_output=True, text=True, check=True).stdout
    seen = dict(entry.split("=", 1) for entry in shell.split("\0") if entry)
    assert {name: seen[name] for name in values} == values
    assert dotenv_values(state.env) == values
    assert environment.read(state.env) == values
    assert state.env.stat().st_mode & 0o777 == 0o600
