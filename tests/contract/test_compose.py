"""docker-compose.yml agrees with the settings, the contract's ports and its own promises."""

import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.ports import Ports
from docs.generate import environment

PROJECT = Path(__file__).resolve().parents[2]
COMPOSE: dict[str, Any] = yaml.safe_load((PROJECT / "docker-compose.yml").read_text())
DOCKERFILE = (PROJECT / "deploy" / "Dockerfile").read_text()
#: The contract's ports on the host, by variable; the local stack has the same.
HOST_PORTS = {
    "SIGNALBOX_INGEST_PORT": 8001,
    "SIGNALBOX_JOBS_PORT": 8002,
    "SIGNALBOX_CACHE_PORT": 8003,
    "SIGNALBOX_POSTGRES_PORT": 15432,
    "SIGNALBOX_REDIS_PORT": 16379,
    "SIGNALBOX_KAFKA_PORT": 19092,
    "SIGNALBOX_PROMETHEUS_PORT": 19090,
}
SECRETS = {"SIGNALBOX_PUBLIC_KEY", "SIGNALBOX_SECRET_KEY", "SIGNALBOX_POSTGRES_PASSWORD"}

#: The containers that run our images, by name, with the service whose image it is.
OURS = {
    name: container["image"].removeprefix("signalbox-")
    for name, container in COMPOSE["services"].items()
    if container["image"].startswith("signalbox-")
}


def test_ports_are_the_contracts_on_the_loopback_address() -> None:
    published = {}
    for container in COMPOSE["services"].values():
        for port in container.get("ports", ()):
            match = re.fullmatch(r"127\.0\.0\.1:\$\{(\w+):-(\d+)\}:\d+", port)
            assert match, port
            published[match[1]] = int(match[2])
    assert published == HOST_PORTS


def test_the_local_stack_and_the_settings_have_the_same_ports() -> None:
    local = Ports()
    for variable, number in HOST_PORTS.items():
        name = variable.removeprefix("SIGNALBOX_").removesuffix("_PORT").lower()
        assert getattr(local, name) == number
        if name in environment.SERVICES:
            assert environment.read_by(name)[variable].default == str(number)
            assert f"ENV {variable}={number}\nEXPOSE {number}\n" in DOCKERFILE
            assert COMPOSE["services"][name]["ports"][0].endswith(f":{number}")


@pytest.mark.parametrize("container", OURS)
def test_variables_are_settings_of_the_service(container: str) -> None:
    given = set(COMPOSE["services"][container]["environment"])
    known = environment.read_by(OURS[container])
    assert given <= set(known)


@pytest.mark.parametrize("service", environment.SERVICES)
def test_every_required_setting_is_given(service: str) -> None:
    required = {name for name, variable in environment.read_by(service).items() if variable.default is None}
    assert required <= set(COMPOSE["services"][service]["environment"])


def test_secrets_have_no_default_and_say_what_to_do() -> None:
    text = (PROJECT / "docker-compose.yml").read_text()
    assert {name for name, _ in re.findall(r"\$\{(\w+):\?([^}]+)\}", text)} == SECRETS
    assert not [name for name in SECRETS if re.search(rf"\$\{{{name}(:?-|\}})", text)]


@pytest.mark.parametrize("container", COMPOSE["services"])
def test_containers_are_confined(container: str) -> None:
    given = COMPOSE["services"][container]
    assert given["cap_drop"] == ["ALL"]
    assert given["security_opt"] == ["no-new-privileges:true"]
    assert (
        given.get("read_only") is True or container == "kafka"
    )  # its image writes its configuration at start


@pytest.mark.parametrize("container", COMPOSE["services"])
def test_containers_wait_for_what_can_be_waited_for(container: str) -> None:
    """A health condition needs a health check: of the container, or of our image."""
    for name, wait in COMPOSE["services"][container].get("depends_on", {}).items():
        needed = COMPOSE["services"][name]
        if wait["condition"] == "service_healthy":
            assert "test" in needed.get("healthcheck", {}) or name in {"ingest", "jobs", "cache"}
        else:
            assert needed["restart"] == "on-failure:5"


def test_only_services_of_a_profile_are_left_out_of_up() -> None:
    assert {name for name, given in COMPOSE["services"].items() if "profiles" in given} == {"loadgen"}


def test_prometheus_scrapes_every_service() -> None:
    configuration = yaml.safe_load((PROJECT / "deploy" / "prometheus" / "prometheus.yml").read_text())
    targets = {
        job["job_name"]: job["static_configs"][0]["targets"] for job in configuration["scrape_configs"]
    }
    assert targets == {"ingest": ["ingest:8001"], "jobs": ["jobs:8002"], "cache": ["cache:8003"]}


@pytest.mark.parametrize("service", environment.SERVICES)
def test_the_dockerfile_starts_each_service_without_a_shell(service: str) -> None:
    stage = DOCKERFILE.split(f"FROM service AS {service}\n")[1].split("\nFROM ")[0]
    assert f'ENTRYPOINT ["python", "-m", "services.{service}"]' in stage
    assert ("HEALTHCHECK" in stage) is (service != "loadgen")
