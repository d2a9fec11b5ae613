"""Java, and Apache Kafka's jars from Maven Central: fetched once for all clones of this user."""

import os
import pwd
import re
import shutil
import subprocess
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.local.errors import MissingTool
from deploy.local.process import Command, last_lines, run
from deploy.local.server import Say
from deploy.local.state import State

KAFKA_VERSION = "4.3.1"
#: Kafka's own POM leaves its logging back end out: its releases add it (`releaseOnly` in its build).
LOG4J_VERSION = "2.25.4"
#: Kafka 4's servers are built for it.
OLDEST_JAVA = 17
#: Maven is given up when it prints nothing for so long.
SILENCE_S = 120.0

POM = f"""<project xmlns="http://maven.apache.org/POM/4.0.0">
  <modelVersion>4.0.0</modelVersion>
  <groupId>local.signalbox</groupId><artifactId>kafka-broker</artifactId><version>1</version>
  <packaging>pom</packaging>
  <dependencies>
    <dependency><groupId>org.apache.kafka</groupId><artifactId>kafka_2.13</artifactId>
      <version>{KAFKA_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-api</artifactId>
      <version>{LOG4J_VERSION}</version></dependency>
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-core</artifactId>
      <version>{LOG4J_VERSION}</version></dependency>
    <!-- The binding for SLF4J 1.7, which Kafka 4.3 uses. -->
    <dependency><groupId>org.apache.logging.log4j</groupId><artifactId>log4j-slf4j-impl</artifactId>
      <version>{LOG4J_VERSION}</version></dependency>
  </dependencies>
</project>
"""
COPY_DEPENDENCIES = "org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies"

_DOWNLOADED = re.compile(r"Downloaded from \S+: \S+/([^/\s]+\.jar) \(([\d.]+) ([kMG]?B)")
_UNITS = {"B": 1e-6, "kB": 1e-3, "MB": 1.0, "GB": 1e3}


@dataclass(frozen=True)
class KafkaJars:
    """The tools that Apache Kafka needs on this machine, and its jars."""

    state: State
    environ: Mapping[str, str]

    def problem(self) -> str | None:
        """Why Apache Kafka cannot run here, in a few words; None when it can."""
        if self.java is None:
            return f"Java {OLDEST_JAVA} or newer is missing"
        if not self.java_version:
            return f"{self.java} does not run"
        if self._java_major < OLDEST_JAVA:
            return f"Java is {self._java_major}, Kafka needs {OLDEST_JAVA} or newer"
        if not self.are_here() and self._tool("mvn") is None:
            return "Maven (mvn) is missing"
        return None

    def are_here(self) -> bool:
        return (self.folder / "libs").is_dir()

    @property
    def class_path(self) -> str:
        """Every jar by name and in order: class-data sharing wants the same text each time."""
        return ":".join(str(jar) for jar in sorted((self.folder / "libs").glob("*.jar")))

    @cached_property
    def java(self) -> Path | None:
        home = self.environ.get("JAVA_HOME")
        if home and (Path(home) / "bin" / "java").exists():
            return Path(home) / "bin" / "java"
        return self._tool("java")

    @cached_property
    def java_version(self) -> str:
        """As `java -version` tells it, the vendor's build included; empty when it does not run."""
        try:
            told = run(Command([str(self.java), "-version"], self.environ, Path("/")), timeout_s=30.0)
        except (OSError, subprocess.TimeoutExpired):
            return ""
        return told.stderr + told.stdout if told.returncode == 0 else ""

    @cached_property
    def folder(self) -> Path:
        """Where the jars of this version are: the user's cache, or the state folder where that is closed."""
        name = f"kafka-{KAFKA_VERSION}-log4j-{LOG4J_VERSION}"
        home = self.environ.get("HOME")
        cache = self.environ.get("XDG_CACHE_HOME") or (f"{home}/.cache" if home else "")
        shared = Path(cache) / "signalbox" / name
        try:
            shared.mkdir(parents=True, exist_ok=True)
        except OSError:
            return self.state.folder("kafka") / name
        return shared if cache and os.access(shared, os.W_OK) else self.state.folder("kafka") / name

    def fetch(self, say: Say) -> None:
        """Have the jars here. Raises MissingTool when Maven does not bring them."""
        if self.are_here():
            return
        say(f"kafka       fetching Apache Kafka {KAFKA_VERSION} with Maven, once (about 45 MB)")
        work = self.folder / f"fetching-{os.getpid()}"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        (work / "pom.xml").write_text(POM)
        log = self.state.log("kafka-fetch")
        try:
            status = self._run_maven(work, log, say)
            if status:
                reason = next((line for line in last_lines(log, 40) if line.startswith("[ERROR]")), "")
                told = reason.replace("[ERROR]", ":", 1)[:200]
                raise MissingTool(f"Maven could not fetch Apache Kafka (its log is {log}){told}")
            try:
                (work / "libs").rename(self.folder / "libs")
            except OSError:
                if not self.are_here():  # else another clone was faster
                    raise
        finally:
            shutil.rmtree(work, ignore_errors=True)

    def _run_maven(self, work: Path, log: Path, say: Say) -> int:
        argv = [str(self._tool("mvn")), "--batch-mode", "--strict-checksums", COPY_DEPENDENCIES]
        argv += ["-DincludeScope=runtime", f"-DoutputDirectory={work / 'libs'}"]
        # Maven's home is the account's, whatever HOME says; an account without one keeps all of it here.
        if not os.access(_home_of_the_account(), os.W_OK):
            argv += [f"-Dmaven.repo.local={self.folder / 'maven'}"]
        with (
            log.open("w") as printed,
            subprocess.Popen(
                argv,
                cwd=work,
                env=dict(self.environ),
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                errors="replace",
            ) as maven,
        ):
            assert maven.stdout is not None
            jars, megabytes, told = 0, 0.0, 0.0
            silence = _after_silence(maven)
            for line in maven.stdout:
                silence.cancel()
                silence = _after_silence(maven)
                printed.write(line)
                if found := _DOWNLOADED.search(line):
                    jars, megabytes = jars + 1, megabytes + float(found[2]) * _UNITS[found[3]]
                    if megabytes - told >= 10:
                        told = megabytes
                        say(f"kafka       {jars} jars, {megabytes:.0f} MB")
            silence.cancel()
            return maven.wait()

    @cached_property
    def _java_major(self) -> int:
        """17 from `openjdk version "17.0.15" 2025-04-15`; 8 calls itself 1.8; 0 when it says neither."""
        found = re.search(r'version "(?:1\.)?(\d+)', self.java_version)
        return int(found[1]) if found else 0

    def _tool(self, name: str) -> Path | None:
        found = shutil.which(name, path=self.environ.get("PATH"))
        return Path(found) if found else None


def _home_of_the_account() -> str:
    try:
        return pwd.getpwuid(os.getuid()).pw_dir
    except KeyError:  # a container may run as a number without a name
        return ""


def _after_silence(maven: "subprocess.Popen[str]") -> threading.Timer:
    timer = threading.Timer(SILENCE_S, maven.terminate)
    timer.daemon = True
    timer.start()
    return timer
