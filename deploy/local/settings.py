"""What a person can choose about the stack on this machine, read once from the environment."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, cast

from deploy.local.errors import SettingError
from deploy.local.ports import REPLICA_STEP, Ports

#: The project's folder: the services run from here.
PROJECT = Path(__file__).resolve().parents[2]

Broker = Literal["", "apache", "embedded"]


@dataclass(frozen=True)
class Settings:
    """The choices; every default is what `make up` does with no variable set."""

    #: Where the stack keeps its data, logs, keys and process ids (`SIGNALBOX_STATE_DIR`).
    state_dir: Path = PROJECT / ".local"
    #: Where each server listens (`SIGNALBOX_*_PORT`).
    ports: Ports = field(default_factory=Ports)
    #: The address that the services bind (`SIGNALBOX_HOST`); the servers under them always take 127.0.0.1.
    host: str = "127.0.0.1"
    #: Which broker (`BROKER`); empty: Apache Kafka where it can be had, else the embedded one.
    broker: Broker = ""
    #: How many cache processes (`CACHE_REPLICAS`); further ones listen on the first one's port + 100.
    cache_replicas: int = 1
    #: The folder of `initdb` and `postgres` to use (`SIGNALBOX_POSTGRES_BIN`); none: look for one.
    postgres_bin: Path | None = None
    #: The environment that servers and services inherit.
    environ: Mapping[str, str] = field(default_factory=lambda: dict(os.environ), repr=False)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> "Settings":
        """Read the variables; an empty one is an absent one. Raises SettingError."""
        broker = environ.get("BROKER", "")
        if broker not in ("", "apache", "embedded"):
            raise SettingError(f"BROKER={broker} is unknown: it is apache or embedded")
        replicas = environ.get("CACHE_REPLICAS") or "1"
        if not replicas.isascii() or not replicas.isdigit() or not 1 <= int(replicas) <= 9:
            raise SettingError(f"CACHE_REPLICAS={replicas} is not a number from 1 to 9")
        ports = Ports.from_environ(environ)
        if ports.cache + (int(replicas) - 1) * REPLICA_STEP > 65_535:
            raise SettingError(f"SIGNALBOX_CACHE_PORT={ports.cache} leaves no port for {replicas} replicas")
        postgres_bin = environ.get("SIGNALBOX_POSTGRES_BIN")
        return cls(
            state_dir=Path(environ.get("SIGNALBOX_STATE_DIR") or PROJECT / ".local").absolute(),
            ports=ports,
            host=environ.get("SIGNALBOX_HOST") or "127.0.0.1",
            broker=cast(Broker, broker),
            cache_replicas=int(replicas),
            postgres_bin=Path(postgres_bin).absolute() if postgres_bin else None,
            environ=dict(environ),
        )
