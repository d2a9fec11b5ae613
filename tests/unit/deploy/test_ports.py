"""Which port, moved by which variable, held by whom."""

import os
import socket
from dataclasses import astuple

import pytest

from deploy.local.errors import PortTaken, SettingError
from deploy.local.ports import Port, Ports, is_free, require_free


def test_the_defaults_are_those_of_the_contract() -> None:
    assert astuple(Ports.from_environ({})) == (8001, 8002, 8003, 15432, 16379, 19092, 19093, 19090)


def test_each_port_is_moved_by_its_variable_and_an_empty_one_moves_nothing() -> None:
    ports = Ports.from_environ({"SIGNALBOX_REDIS_PORT": "7000", "SIGNALBOX_KAFKA_PORT": ""})
    assert (ports.redis, ports.kafka) == (7000, 19092)
    assert ports.port("kafka_controller") == Port(19093, "SIGNALBOX_KAFKA_CONTROLLER_PORT")


def test_a_further_replica_listens_a_hundred_ports_on() -> None:
    assert Ports().port("cache", replica=1) == Port(8103, "SIGNALBOX_CACHE_PORT")


@pytest.mark.parametrize("text", ["abc", "0", "65536", "-1", "8 001", "٨٠٠١"])
def test_what_is_no_port_is_refused_with_the_variable(text: str) -> None:
    with pytest.raises(SettingError, match="SIGNALBOX_JOBS_PORT"):
        Ports.from_environ({"SIGNALBOX_JOBS_PORT": text})


def test_two_servers_on_one_port_are_refused_with_both_variables() -> None:
    with pytest.raises(SettingError, match="SIGNALBOX_INGEST_PORT and SIGNALBOX_CACHE_PORT are both 8003"):
        Ports.from_environ({"SIGNALBOX_INGEST_PORT": "8003"})


def test_a_taken_port_names_the_port_the_variable_and_the_holder() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        number = other.getsockname()[1]
        with pytest.raises(PortTaken) as caught:
            require_free(Port(number, "SIGNALBOX_REDIS_PORT"), "redis")
    for part in (f"port {number}", "redis", f"pid {os.getpid()}", "SIGNALBOX_REDIS_PORT=PORT"):
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)
    require_free(Port(number, "SIGNALBOX_REDIS_PORT"), "redis")


def test_free_ports_differ_and_are_below_those_of_outgoing_connections() -> None:
    ports = astuple(Ports.free())
    assert len(set(ports)) == len(ports)
    assert all(20_000 <= port < 32_100 and is_free(port) for port in ports)
