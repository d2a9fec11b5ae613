"""Fixtures for every level. Servers are started once a session, and only when a test asks for them."""

from collections.abc import Iterator
from pathlib import Path

import hypothesis
import pytest

from tests.support import stacks
from tests.support.processes import ServiceProcess
from tests.support.stacks import RunningStack

# How long an example takes says more about the machine's other users than about the code.
hypothesis.settings.register_profile("signalbox", deadline=None)
hypothesis.settings.load_profile("signalbox")

_started: list[str] = []


def pytest_report_header() -> str:
    return f"signalbox stack: {stacks.backend()} (STACK=local|containers), BROKER=apache|embedded forces a broker"


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    for description in _started:
        terminalreporter.write_line(f"signalbox stack: {description}")


@pytest.fixture(scope="session")
def stack() -> Iterator[RunningStack]:
    """Kafka, PostgreSQL and Redis, with topics, tables and example data."""
    with stacks.running_stack() as running:
        _started.append(running.description)
        yield running


@pytest.fixture(scope="session")
def logs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where services write their logs."""
    return tmp_path_factory.mktemp("logs")


@pytest.fixture(scope="session")
def ingest_url(stack: RunningStack, logs: Path) -> Iterator[str]:
    """A running ingest."""
    with ServiceProcess("ingest", stack.environment, logs / "ingest.log") as ingest:
        yield ingest.url


@pytest.fixture(scope="session")
def mail_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the worker of `jobs_url` delivers mail."""
    return tmp_path_factory.mktemp("mail") / "box"


@pytest.fixture(scope="session")
def jobs_url(stack: RunningStack, logs: Path, mail_folder: Path) -> Iterator[str]:
    """A running worker with its API; webhooks to this machine are allowed."""
    environment = {
        **stack.environment,
        "SIGNALBOX_WEBHOOK_HOSTS": "127.0.0.1",
        "SIGNALBOX_MAIL_URL": f"maildir:{mail_folder}",
    }
    with ServiceProcess("jobs", environment, logs / "jobs.log") as jobs:
        yield jobs.url
