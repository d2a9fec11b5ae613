"""The settings that services share, each read once from the environment, by `__main__`, and passed down.

A service's own class inherits the groups that it needs. Our variables start with `SIGNALBOX_`; the addresses
of other systems carry the names that the contract gives them (`.local/env` has them all).
"""

from typing import Literal, TypeVar

from pydantic import AliasChoices, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

from shared.errors import ConfigurationError


class ProcessSettings(BaseSettings):
    """What every process has."""

    model_config = SettingsConfigDict(env_prefix="SIGNALBOX_", frozen=True, extra="ignore")

    #: Nothing less important than this is logged.
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    #: `json` is one object a line, for machines; `console` is for people.
    log_format: Literal["json", "console"] = "json"


class HttpSettings(ProcessSettings):
    """A process that listens; the port is declared by the service, under its own name."""

    #: The address to bind. Containers set 0.0.0.0.
    host: str = "127.0.0.1"
    #: How long a stopping server waits for requests under way.
    shutdown_grace_s: float = 10.0


class KafkaSettings(ProcessSettings):
    """Where Kafka is, and how records are produced."""

    #: Kafka's addresses, `host:port`, comma separated.
    kafka_bootstrap_servers: str = Field(
        default="127.0.0.1:19092", validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVERS")
    )
    #: Off only on the embedded broker, which has no idempotent producer.
    kafka_idempotence: bool = True
    #: Copies of each topic that `create-topics` creates; 3 where Kafka has three brokers or more.
    kafka_replication: int = Field(default=1, ge=1, le=10)
    #: One produce request's own time limit, before the client tries again.
    kafka_request_timeout_ms: int = Field(default=10_000, ge=100)


class PostgresSettings(ProcessSettings):
    """Where PostgreSQL is, and how much of it a process takes."""

    #: The database, `postgresql://user:password@host:port/name`.
    postgres_dsn: SecretStr = Field(
        default=SecretStr("postgresql://signalbox@127.0.0.1:15432/signalbox"),
        validation_alias=AliasChoices("POSTGRES_DSN"),
    )
    #: Connections of one process, at most.
    postgres_connections_max: int = Field(default=10, ge=1)
    #: A statement's time limit, client and server side.
    postgres_timeout_s: float = 10.0


class RedisSettings(ProcessSettings):
    """Where Redis is."""

    #: Redis, `redis://host:port/number`.
    redis_url: SecretStr = Field(
        default=SecretStr("redis://127.0.0.1:16379/0"), validation_alias=AliasChoices("REDIS_URL")
    )


class KeySettings(ProcessSettings):
    """The two keys of the project; a request shows one as a bearer token, or as `?key=` from a browser."""

    #: Write-only, for browsers: it is in every page, so it is no secret.
    public_key: SecretStr
    #: For servers and operators: everything.
    secret_key: SecretStr
    #: The project that the keys belong to.
    project: str = Field(default="1", pattern=r"^[a-z0-9][a-z0-9_-]{0,63}$")


S = TypeVar("S", bound=ProcessSettings)


def load(cls: type[S]) -> S:
    """Read `cls` from the environment.

    Raises ConfigurationError that names every variable that is missing or wrong, without its value.
    """
    try:
        return cls()
    except ValidationError as error:
        wrong = []
        for item in error.errors(include_input=False, include_url=False):
            name = ".".join(str(part) for part in item["loc"])
            variable = name if name.isupper() else f"SIGNALBOX_{name.upper()}"
            wrong.append(f"{variable}: {item['msg']}")
        raise ConfigurationError("; ".join(wrong)) from None
