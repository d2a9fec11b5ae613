"""Apache Kafka: one node that is broker and controller (KRaft), sized for a developer's machine."""

import asyncio
import hashlib
import logging
import os
import shutil
import signal
import subprocess
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from aiokafka.client import AIOKafkaClient
from aiokafka.errors import KafkaError

from deploy.local.kafka_jars import KAFKA_VERSION, KafkaJars
from deploy.local.ports import Port, accepts
from deploy.local.process import Command, run
from deploy.local.server import Say
from deploy.local.state import State

#: Small and quick to start: one collector thread, the first compiler alone, threads with small stacks.
JVM = [
    "-Xms256m",
    "-Xmx512m",
    "-XX:+UseSerialGC",
    "-XX:TieredStopAtLevel=1",
    "-Xss512k",
    "-Djava.awt.headless=true",
]

LOG4J = """<Configuration status="WARN">
  <Appenders><Console name="out"><PatternLayout pattern="%d{ISO8601} %p %m (%c)%n"/></Console></Appenders>
  <Loggers>
    <Logger name="kafka.server.KafkaRaftServer" level="INFO"/>
    <Logger name="org.apache.kafka.common.utils.LoggingSignalHandler" level="INFO"/>
    <Root level="WARN"><AppenderRef ref="out"/></Root>
  </Loggers>
</Configuration>
"""


@dataclass(frozen=True)
class Kafka:
    """Keeps records across a kill -9 of the process: they are in the system's page cache when acknowledged."""

    state: State
    port: Port
    controller: Port
    jars: KafkaJars
    environ: Mapping[str, str]

    name = "kafka"
    kind = "apache"
    title = f"Apache Kafka {KAFKA_VERSION}"
    stop_signal = int(signal.SIGTERM)
    grace_s = 30.0
    ready_within_s = 90.0

    @property
    def ports(self) -> list[Port]:
        return [self.port, self.controller]

    def ended(self, clean: bool) -> None:
        """Keep the class archive that a first run leaves when it is stopped; a killed one's is not whole."""
        if clean and self._fresh_archive.exists() and not self._archive.exists():
            partial = self._archive.with_suffix(f".{os.getpid()}")
            shutil.move(self._fresh_archive, partial)
            partial.replace(self._archive)
        self._fresh_archive.unlink(missing_ok=True)

    def prepare(self, say: Say) -> None:
        (self._folder / "server.properties").write_text(self._properties())
        (self._folder / "log4j2.xml").write_text(LOG4J)
        if not self._cluster_id():
            self._format()

    def command(self) -> Command:
        # The JVM maps its parsed classes from an archive instead of parsing the jars: half the start time.
        if self._archive.exists():
            sharing = [f"-XX:SharedArchiveFile={self._archive}", "-Xshare:auto", "-Xlog:cds=off"]
        else:
            sharing = [f"-XX:ArchiveClassesAtExit={self._fresh_archive}", "-Xlog:cds=off"]
        return self._java([*sharing, "-Xlog:cds+dynamic=off"], "kafka.Kafka", "server.properties")

    def is_ready(self) -> bool:
        return has_broker(self.port)

    def complete(self) -> None:
        """Nothing is left to do."""

    @cached_property
    def _folder(self) -> Path:
        return self.state.folder("kafka")

    @property
    def _data(self) -> Path:
        return self._folder / "data"

    @property
    def _fresh_archive(self) -> Path:
        return self._folder / "classes.jsa"

    @cached_property
    def _archive(self) -> Path:
        """One for each Java: an archive of another build is of no use."""
        java = hashlib.sha256(f"{self.jars.java}\n{self.jars.java_version}".encode()).hexdigest()[:12]
        return self.jars.folder / f"classes-{java}.jsa"

    def _java(self, options: list[str], main: str, *arguments: str) -> Command:
        argv = [str(self.jars.java), *JVM, "-Dlog4j2.configurationFile=log4j2.xml", *options]
        argv += ["-cp", self.jars.class_path, main, *arguments]
        return Command(argv, self.environ, self._folder)

    def _cluster_id(self) -> str | None:
        """From the file that formatting leaves; None before it. Raises StateError when it is damaged."""
        meta = self._data / "meta.properties"
        try:
            lines = meta.read_text(errors="replace").splitlines()
        except FileNotFoundError:
            return None
        values = dict(line.split("=", 1) for line in lines if "=" in line)
        if not values.get("cluster.id") or values.get("node.id") != "1":
            raise self.state.error(meta, f"is damaged: remove {self._data} to start with an empty Kafka")
        return values["cluster.id"]

    def _format(self) -> None:
        """Give the empty data folder a cluster id; again when that was interrupted."""
        arguments = ["format", "--ignore-formatted", "-t", _new_cluster_id(), "-c", "server.properties"]
        try:
            told = run(self._java([], "kafka.tools.StorageTool", *arguments), timeout_s=60.0)
        except subprocess.TimeoutExpired as error:
            raise self.state.error(self._data, "formatting it took more than 60 s") from error
        with self.state.log(self.name).open("a") as log:
            log.write(told.stdout + told.stderr)
        if told.returncode:
            reason = (told.stderr or told.stdout).strip().splitlines() or ["no reason given"]
            raise self.state.error(self._data, f"cannot be formatted: {reason[-1][:300]}")

    def _properties(self) -> str:
        broker, controller = f"127.0.0.1:{self.port.number}", f"127.0.0.1:{self.controller.number}"
        settings = {
            "process.roles": "broker,controller",
            "node.id": 1,
            # A fixed quorum: its address is not stored in the data, so the port can be moved.
            "controller.quorum.voters": f"1@{controller}",
            "controller.listener.names": "CONTROLLER",
            "inter.broker.listener.name": "PLAINTEXT",
            "listeners": f"PLAINTEXT://{broker},CONTROLLER://{controller}",
            "advertised.listeners": f"PLAINTEXT://{broker}",
            "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT",
            # From the working directory: a properties file takes no path with letters outside Latin-1.
            "log.dirs": "data",
            # Topics come from the table of shared/contracts/topics.py; a misspelt one is an error.
            "auto.create.topics.enable": "false",
            "default.replication.factor": 1,
            "min.insync.replicas": 1,
            "message.max.bytes": 2 * 1024 * 1024,
            "log.retention.hours": 168,
            "log.segment.bytes": 64 * 1024 * 1024,
            # Index files are mapped at their full size while in use; 2 MiB indexes 1 GiB of records.
            "log.index.size.max.bytes": 2 * 1024 * 1024,
            "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
            # A consumer that joins starts at once instead of after 3 s.
            "group.initial.rebalance.delay.ms": 0,
            # A killed broker's successor is let in when the dead one's session is over (9 s by default).
            "broker.session.timeout.ms": 3_000,
            "broker.heartbeat.interval.ms": 500,
            # The topics that Kafka keeps for itself have 50 partitions each by default.
            "offsets.topic.num.partitions": 4,
            "offsets.topic.replication.factor": 1,
            "transaction.state.log.num.partitions": 4,
            "transaction.state.log.replication.factor": 1,
            "transaction.state.log.min.isr": 1,
            "share.coordinator.state.topic.num.partitions": 4,
            "share.coordinator.state.topic.replication.factor": 1,
            "share.coordinator.state.topic.min.isr": 1,
            "num.network.threads": 2,
            "num.io.threads": 4,
            "background.threads": 2,
            "num.recovery.threads.per.data.dir": 2,
        }
        return "".join(f"{name}={value}\n" for name, value in settings.items())


def _new_cluster_id() -> str:
    """A random one, in Kafka's form."""
    while True:
        text = urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        if not text.startswith("-"):  # which the formatting tool takes for an option
            return text


def has_broker(port: Port) -> bool:
    """Whether a broker answers there and says that it takes part in its cluster."""
    return accepts(port.number) and asyncio.run(_knows_a_broker(port))


async def _knows_a_broker(port: Port) -> bool:
    logger = logging.getLogger("aiokafka")
    level = logger.level
    logger.setLevel(logging.CRITICAL)  # a broker that is not ready yet is no error here
    client = AIOKafkaClient(bootstrap_servers=f"127.0.0.1:{port.number}", request_timeout_ms=2_000)
    try:
        async with asyncio.timeout(3.0):
            await client.bootstrap()
            return bool(client.cluster.brokers())
    except (KafkaError, OSError, TimeoutError):
        return False
    finally:
        await client.close()
        logger.setLevel(level)
