"""Where the tests' Kafka, PostgreSQL and Redis come from: the local stack, or containers (`STACK=containers`).

Either way they are real, on free ports, with topics, tables and example data in them, and the same tests run.
"""

import contextlib
import os
import shutil
import socket
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from deploy.local.ports import Ports
from deploy.local.settings import PROJECT, Settings
from deploy.local.stack import Stack

PUBLIC_KEY, SECRET_KEY = "sbpk_0123456789abcdef0123456789abcdef", "sbsk_0123456789abcdef0123456789abcdef"

#: The images of docker-compose.yml.
KAFKA_IMAGE, POSTGRES_IMAGE, REDIS_IMAGE = "apache/kafka:4.3.1", "postgres:18", "redis:8"


@dataclass(frozen=True)
class RunningStack:
    """Servers that tests may use; `environment` has every variable of `.local/env` but the services' addresses."""

    #: Such as `local stack: Apache Kafka ...`, for the report's header.
    description: str
    #: Apache Kafka keeps every promise; the embedded broker does not (see kafka.md in docs).
    apache_kafka: bool
    environment: Mapping[str, str] = field(repr=False)


def backend() -> str:
    """`local` or `containers`, as `STACK` says; raises ValueError for anything else."""
    chosen = os.environ.get("STACK") or "local"
    if chosen not in ("local", "containers"):
        raise ValueError(f"STACK={chosen} is unknown: it is local or containers")
    return chosen


@contextlib.contextmanager
def running_stack() -> Iterator[RunningStack]:
    """Start what `STACK` asks for; stop it afterwards."""
    with _containers() if backend() == "containers" else _local() as stack:
        yield stack


def free_ports(count: int) -> list[int]:
    """Ports that nobody listened on a moment ago, all different."""
    with contextlib.ExitStack() as held:
        sockets = [held.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in sockets]


@contextlib.contextmanager
def _local() -> Iterator[RunningStack]:
    # Not pytest's own folder: PostgreSQL runs as another user when the tests run as root, and has to reach it.
    folder = Path(tempfile.mkdtemp(prefix="signalbox-tests-"))
    folder.chmod(0o755)
    settings = replace(Settings.from_environ(os.environ), state_dir=folder, ports=Ports.free())
    stack = Stack(settings, _say)
    try:
        variables = stack.up(services=False)
        apache = variables["SIGNALBOX_KAFKA_IDEMPOTENCE"] == "true"
        yield RunningStack(
            f"local stack, {'Apache Kafka' if apache else 'embedded broker'}",
            apache,
            {
                **variables,
                "SIGNALBOX_STATE_DIR": str(folder),
                "SIGNALBOX_PUBLIC_KEY": PUBLIC_KEY,
                "SIGNALBOX_SECRET_KEY": SECRET_KEY,
            },
        )
    finally:
        stack.down()
        shutil.rmtree(folder, ignore_errors=True)


@contextlib.contextmanager
def _containers() -> Iterator[RunningStack]:
    from testcontainers.core.container import DockerContainer
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    kafka_port, postgres_port, redis_port = free_ports(3)
    with contextlib.ExitStack() as running:

        def run(container: DockerContainer, ready: str) -> None:
            running.enter_context(
                container.waiting_for(LogMessageWaitStrategy(ready).with_startup_timeout(90))
            )

        listeners = {
            "KAFKA_NODE_ID": "1",
            "KAFKA_PROCESS_ROLES": "broker,controller",
            "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
            "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{kafka_port}",
            "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
            "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
            "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
            "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
            "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
            "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        }
        kafka = DockerContainer(KAFKA_IMAGE).with_bind_ports(9092, kafka_port)
        for name, value in listeners.items():
            kafka = kafka.with_env(name, value)
        run(kafka, "Kafka Server started")
        postgres = DockerContainer(POSTGRES_IMAGE).with_bind_ports(5432, postgres_port)
        for name in ("USER", "PASSWORD", "DB"):
            postgres = postgres.with_env(f"POSTGRES_{name}", "signalbox")
        run(postgres, "listening on IPv4 address")
        run(DockerContainer(REDIS_IMAGE).with_bind_ports(6379, redis_port), "Ready to accept connections")
        variables = {
            "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka_port}",
            "SIGNALBOX_KAFKA_IDEMPOTENCE": "true",
            "POSTGRES_DSN": f"postgresql://signalbox:signalbox@127.0.0.1:{postgres_port}/signalbox",
            "REDIS_URL": f"redis://127.0.0.1:{redis_port}/0",
            "SIGNALBOX_PUBLIC_KEY": PUBLIC_KEY,
            "SIGNALBOX_SECRET_KEY": SECRET_KEY,
            "SIGNALBOX_STATE_DIR": running.enter_context(
                tempfile.TemporaryDirectory(prefix="signalbox-tests-")
            ),
        }
        for command in (
            ["shared.kafka", "create-topics"],
            ["services.jobs", "migrate"],
            ["services.cache", "seed"],
        ):
            subprocess.run(
                [sys.executable, "-m", *command],
                env={**os.environ, **variables},
                cwd=PROJECT,
                check=True,
                timeout=120,
            )
        yield RunningStack(f"containers, {KAFKA_IMAGE}, {POSTGRES_IMAGE}, {REDIS_IMAGE}", True, variables)


def _say(line: str) -> None:
    print(line, file=sys.stderr)
