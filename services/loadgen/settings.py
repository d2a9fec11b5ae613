"""What loadgen reads from the environment; `.local/env` has all of it."""

from pydantic import AliasChoices, Field, SecretStr

from shared.settings import KafkaSettings


class LoadgenSettings(KafkaSettings):
    """Addresses, keys and the limits of whom loadgen may load."""

    #: Where Kafka is; a run's outcome is published only when this is set. (The other services have a default.)
    kafka_bootstrap_servers: str = Field(default="", validation_alias=AliasChoices("KAFKA_BOOTSTRAP_SERVERS"))
    #: ingest, when `--target` does not say.
    ingest_url: str = Field(default="", validation_alias=AliasChoices("INGEST_URL"))
    #: jobs, whose API is polled; without it visitors start no jobs.
    jobs_url: str = Field(default="", validation_alias=AliasChoices("JOBS_URL"))
    #: cache; without it visitors make no cached reads.
    cache_url: str = Field(default="", validation_alias=AliasChoices("CACHE_URL"))
    #: Shown with events, as a browser does.
    public_key: SecretStr = Field(min_length=1)
    #: Shown with jobs, as a server does; without it visitors start no jobs.
    secret_key: SecretStr | None = None
    #: Hosts that may be loaded besides this machine, comma separated.
    loadgen_targets_allowed: str = ""
    #: A request without an answer after this long has failed.
    loadgen_request_timeout_s: float = Field(default=10.0, gt=0)

    @property
    def targets_allowed(self) -> frozenset[str]:
        """The hosts of `loadgen_targets_allowed`, in lower case."""
        hosts = (host.strip().lower() for host in self.loadgen_targets_allowed.split(","))
        return frozenset(host for host in hosts if host)
