"""The ports of the stack: their defaults, the variables that move them, and who has one that we want."""

import os
import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path

from deploy.local.errors import PortTaken, SettingError

#: How far apart the replicas of one service listen: the second cache is on the first one's port + 100.
REPLICA_STEP = 100


@dataclass(frozen=True)
class Port:
    """A port and the variable that moves it."""

    number: int
    variable: str


@dataclass(frozen=True)
class Ports:
    """Every port that the stack listens on, on the loopback address."""

    ingest: int = 8001
    jobs: int = 8002
    cache: int = 8003
    postgres: int = 15432
    redis: int = 16379
    kafka: int = 19092
    kafka_controller: int = 19093
    prometheus: int = 19090

    @staticmethod
    def variable(name: str) -> str:
        """The environment variable that moves the port `name`."""
        return f"SIGNALBOX_{name.upper()}_PORT"

    def port(self, name: str, replica: int = 0) -> Port:
        """The port of the server `name`, or of one of its further replicas."""
        return Port(getattr(self, name) + replica * REPLICA_STEP, self.variable(name))

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Ports":
        """Read `SIGNALBOX_*_PORT`; an empty variable is an absent one. Raises SettingError."""
        given = {field.name: environ.get(cls.variable(field.name), "") for field in fields(cls)}
        ports = cls(**{name: _number(cls.variable(name), text) for name, text in given.items() if text})
        owner: dict[int, str] = {}
        for field in fields(cls):
            number = getattr(ports, field.name)
            if number in owner:
                variables = f"{cls.variable(owner[number])} and {cls.variable(field.name)}"
                raise SettingError(f"{variables} are both {number}: give each its own port")
            owner[number] = field.name
        return ports

    @classmethod
    def free(cls) -> "Ports":
        """Ports that nobody listens on, for a stack beside the usual one.

        They are taken from below the range that the system gives to outgoing connections (32768 and up on
        Linux): a client that knocks on a port of that range before its server is up can connect to itself.
        """
        names = [field.name for field in fields(cls)]
        for first in random.sample(range(20_000, 32_000, 10), 1_200):
            numbers = range(first, first + len(names))
            replicas = range(first + REPLICA_STEP, first + REPLICA_STEP + len(names))
            if all(is_free(number) for number in (*numbers, *replicas)):
                return cls(**dict(zip(names, numbers, strict=True)))
        raise PortTaken("no ten free ports in a row between 20000 and 32000")


def is_free(number: int, host: str = "127.0.0.1") -> bool:
    """Whether a server could listen there now."""
    with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
        # Without it a connection that ended a minute ago would still count as somebody there.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, number))
        except OSError:
            return False
    return True


def accepts(number: int, host: str = "127.0.0.1") -> bool:
    """Whether somebody listens there and answers within a second."""
    try:
        with socket.create_connection((host, number), timeout=1.0):
            return True
    except OSError:
        return False


def require_free(port: Port, wanted_by: str) -> None:
    """Raise PortTaken when somebody already listens on `port`."""
    if not is_free(port.number):
        raise PortTaken(
            f"port {port.number}, wanted by {wanted_by}, is taken{_by_whom(port.number)}: "
            f"end that program, or move ours with {port.variable}=PORT"
        )


def _number(variable: str, text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= 65_535:
        raise SettingError(f"{variable}={text} is not a port (1 to 65535)")
    return int(text)


def _by_whom(number: int) -> str:
    """` by NAME (pid N)` where Linux lets us see it, else nothing."""
    sockets = set()
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        try:
            rows = [line.split() for line in Path(table).read_text().splitlines()[1:]]
        except OSError:
            continue
        # Columns of proc(5): 1 local address:port in hex, 3 state (0A is LISTEN), 9 the socket's inode.
        sockets |= {
            f"socket:[{row[9]}]"
            for row in rows
            if row[3] == "0A" and int(row[1].rsplit(":", 1)[1], 16) == number
        }
    for process in Path("/proc").glob("[0-9]*") if sockets else ():
        try:
            if any(os.readlink(handle) in sockets for handle in (process / "fd").iterdir()):
                return f" by {(process / 'comm').read_text().strip()} (pid {process.name})"
        except OSError:
            continue
    return ""
