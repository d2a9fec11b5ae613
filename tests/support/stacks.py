"""Where the tests' Kafka, PostgreSQL and Redis come from: the local stack, or containers (`STACK=containers`).

Either way they are real, on free ports, with topics, tables and example data in them, and the same tests run.
"""

import contextlib
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import pytest

from deploy.local.ports import Ports, is_free
from deploy.local.settings import PROJECT, Settings
from deploy.local.stack import Stack

if TYPE_CHECKING:
    from testcontainers.core.container import DockerContainer

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
    """Ports that nobody listened on a moment ago, all different, none of the range of outgoing connections."""
    found: list[int] = []
    while len(found) < count:
        number = random.randrange(12_000, 20_000)
        if number not in found and is_free(number):
            found.append(number)
    return found


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
    """Ends the test run with one line when no Docker API answers or an image is not there: nothing is pulled.

    Raises RuntimeError, with the end of its log, when a server does not start.
    """
    _require_images()
    servers = _servers()
    variables = {
        "KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{servers[KAFKA_IMAGE].port}",
        "SIGNALBOX_KAFKA_IDEMPOTENCE": "true",
        "POSTGRES_DSN": f"postgresql://signalbox:signalbox@127.0.0.1:{servers[POSTGRES_IMAGE].port}/signalbox",
        "REDIS_URL": f"redis://127.0.0.1:{servers[REDIS_IMAGE].port}/0",
        "SIGNALBOX_PUBLIC_KEY": PUBLIC_KEY,
        "SIGNALBOX_SECRET_KEY": SECRET_KEY,
    }
    with contextlib.ExitStack() as running:
        containers = {image: _start(image, server, running) for image, server in servers.items()}
        for image, container in containers.items():
            _wait(image, container, servers[image].ready)
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


@dataclass(frozen=True)
class _Server:
    """How an image is run."""

    #: Where it listens in its container.
    inside: int
    #: The port of this machine's loopback address that leads there.
    port: int
    #: What its log says once it serves clients, and not before; a regular expression.
    ready: str
    environment: Mapping[str, str] = field(default_factory=dict)


def _servers() -> dict[str, _Server]:
    """By image."""
    kafka, postgres, redis = free_ports(3)
    node = {
        "KAFKA_NODE_ID": "1",
        "KAFKA_PROCESS_ROLES": "broker,controller",
        "KAFKA_LISTENERS": "PLAINTEXT://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093",
        "KAFKA_ADVERTISED_LISTENERS": f"PLAINTEXT://127.0.0.1:{kafka}",
        "KAFKA_LISTENER_SECURITY_PROTOCOL_MAP": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "KAFKA_CONTROLLER_LISTENER_NAMES": "CONTROLLER",
        "KAFKA_CONTROLLER_QUORUM_VOTERS": "1@127.0.0.1:9093",
        "KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR": "1",
        "KAFKA_TRANSACTION_STATE_LOG_MIN_ISR": "1",
        "KAFKA_AUTO_CREATE_TOPICS_ENABLE": "false",
        "KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS": "0",
        "KAFKA_HEAP_OPTS": "-Xms256m -Xmx512m",
    }
    account = {f"POSTGRES_{name}": "signalbox" for name in ("USER", "PASSWORD", "DB")}
    # The server of PostgreSQL's first set-up is "ready" too, but listens on its socket only.
    serving = r"listening on IPv4 (?s:.*)database system is ready to accept connections"
    return {
        KAFKA_IMAGE: _Server(9092, kafka, "Kafka Server started", node),
        POSTGRES_IMAGE: _Server(5432, postgres, serving, account),
        REDIS_IMAGE: _Server(6379, redis, "Ready to accept connections"),
    }


def _require_images() -> None:
    """testcontainers would pull an image that is not there, and could not say which Docker API it asked."""
    from docker.errors import DockerException, ImageNotFound  # type: ignore[import-untyped]
    from testcontainers.core.config import testcontainers_config
    from testcontainers.core.docker_client import DockerClient

    def is_here(image: str) -> bool:
        try:
            docker.client.images.get(image)
        except ImageNotFound:
            return False
        return True

    try:
        docker = DockerClient()
        if docker.host() not in ("localhost", "127.0.0.1"):
            _give_up("its ports would be another machine's")
        missing = [image for image in (KAFKA_IMAGE, POSTGRES_IMAGE, REDIS_IMAGE) if not is_here(image)]
        # Ryuk removes what a killed run leaves behind; an image like the others, but not needed.
        testcontainers_config.ryuk_disabled |= not is_here(testcontainers_config.ryuk_image)
    except (DockerException, OSError, ValueError) as error:
        _give_up(f"no Docker API answers ({' '.join(str(error).split())[:200]})")
    if missing:
        pulls = " && ".join(f"docker pull {image}" for image in missing)
        _give_up(f"missing there, and tests pull nothing: {', '.join(missing)}; for them: {pulls}")


def _give_up(reason: str) -> NoReturn:
    pytest.exit(
        f"STACK=containers with DOCKER_HOST={os.environ.get('DOCKER_HOST', '(unset)')}: {reason}",
        returncode=1,
    )


def _start(image: str, server: _Server, running: contextlib.ExitStack) -> "DockerContainer":
    """Start it, and leave its removal to `running`."""
    from testcontainers.core.container import DockerContainer

    container = DockerContainer(image, env=dict(server.environment))
    # On the loopback address only, which with_bind_ports() cannot say: none of these asks for a good password.
    container.ports[f"{server.inside}/tcp"] = ("127.0.0.1", server.port)  # type: ignore[assignment]
    running.callback(container.stop)
    return container.start()


def _wait(image: str, container: "DockerContainer", ready: str) -> None:
    from testcontainers.core.wait_strategies import LogMessageWaitStrategy

    try:
        LogMessageWaitStrategy(ready).with_startup_timeout(90).wait_until_ready(container)
    except (TimeoutError, RuntimeError):
        out, err = container.get_logs()
        last = "\n".join((out + err).decode(errors="replace").splitlines()[-30:])
        raise RuntimeError(
            f"{image} did not start ({container.status}); its log ends with:\n{last}"
        ) from None


def _say(line: str) -> None:
    print(line, file=sys.stderr)
