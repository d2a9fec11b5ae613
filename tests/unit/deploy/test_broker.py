"""Which broker is taken, and what is said about it."""

from pathlib import Path

import pytest

from deploy.local.broker import choose
from deploy.local.errors import MissingTool
from deploy.local.kafka_jars import KafkaJars
from deploy.local.settings import Broker
from deploy.local.state import State


@pytest.mark.parametrize(
    ("asked", "problem", "taken"),
    [
        ("", None, "apache"),
        ("apache", None, "apache"),
        ("", "Maven (mvn) is missing", "embedded"),
        ("embedded", None, "embedded"),
        ("embedded", "Maven (mvn) is missing", "embedded"),
    ],
)
def test_apache_kafka_is_taken_where_it_can_run(asked: Broker, problem: str | None, taken: Broker) -> None:
    assert choose(asked, problem)[0] == taken


def test_the_reason_is_what_keeps_kafka_from_running() -> None:
    assert choose("", "Maven (mvn) is missing")[1] == "Maven (mvn) is missing"


def test_kafka_that_is_asked_for_and_cannot_run_is_an_error() -> None:
    with pytest.raises(MissingTool, match=r"Maven .* is missing .*BROKER=embedded"):
        choose("apache", "Maven (mvn) is missing")


def jars(tmp_path: Path, **tools: str) -> KafkaJars:
    """A machine whose PATH has these tools alone, each a shell script."""
    path = tmp_path / "bin"
    path.mkdir()
    for name, script in tools.items():
        (path / name).write_text(f"#!/bin/sh\n{script}\n")
        (path / name).chmod(0o755)
    return KafkaJars(State(tmp_path), {"PATH": str(path), "XDG_CACHE_HOME": str(tmp_path / "cache")})


JAVA_17 = """echo 'openjdk version "17.0.15" 2025-04-15' >&2"""
JAVA_8 = """echo 'java version "1.8.0_402"' >&2"""


@pytest.mark.parametrize(
    ("tools", "problem"),
    [
        ({}, "Java 17 or newer is missing"),
        ({"java": "exit 1"}, "java does not run"),
        ({"java": JAVA_8, "mvn": ""}, "Java is 8, Kafka needs 17 or newer"),
        ({"java": JAVA_17}, "Maven (mvn) is missing"),
    ],
)
def test_what_is_missing_is_named(tmp_path: Path, tools: dict[str, str], problem: str) -> None:
    assert (jars(tmp_path, **tools).problem() or "").endswith(problem)


def test_java_and_maven_are_enough(tmp_path: Path) -> None:
    assert jars(tmp_path, java=JAVA_17, mvn="").problem() is None


def test_jars_that_are_here_need_no_maven(tmp_path: Path) -> None:
    machine = jars(tmp_path, java=JAVA_17)
    (machine.folder / "libs").mkdir(parents=True)
    assert machine.problem() is None


def test_maven_that_fails_is_an_error_with_its_log_and_leaves_no_half_of_the_jars(tmp_path: Path) -> None:
    machine = jars(tmp_path, java=JAVA_17, mvn="echo '[ERROR] no route to the repository'; exit 1")
    machine.state.prepare()
    with pytest.raises(MissingTool, match="no route to the repository") as caught:
        machine.fetch(lambda line: None)
    assert str(machine.state.log("kafka-fetch")) in str(caught.value)
    assert list(machine.folder.iterdir()) == []
    assert machine.problem() is None


def test_fetching_tells_how_far_it_is(tmp_path: Path) -> None:
    told: list[str] = []
    prints = "; ".join(
        f"echo '[INFO] Downloaded from central: https://host/{name}.jar ({size} at 9 MB/s)'"
        for name, size in (("a", "9.5 MB"), ("b", "700 kB"), ("c", "1 kB"))
    )
    argument = 'for a; do case "$a" in -DoutputDirectory=*) /bin/mkdir -p "${a#*=}";; esac; done'
    machine = jars(tmp_path, java=JAVA_17, mvn=f"{prints}; {argument}")
    machine.state.prepare()
    machine.fetch(told.append)
    assert told[1:] == ["kafka       2 jars, 10 MB"]
    assert machine.are_here()
