"""Everything that can be set about ingest; see `shared.settings` for how variables are named."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from services.ingest.rates import Category
from shared.settings import HttpSettings, KafkaSettings, KeySettings


def _generous() -> dict[Category, int]:
    """What one core cannot take for long: a limit against storms, and not against growth."""
    return {category: 1_000_000 for category in Category if category is not Category.REQUEST}


class IngestSettings(HttpSettings, KafkaSettings, KeySettings):
    """Where ingest listens, and how much it takes at a time."""

    #: The port to bind.
    ingest_port: int = Field(default=8001, ge=1, le=65_535)
    #: Processes that serve it; a core each is of use, less one for Kafka where that is on the same machine.
    ingest_workers: int = Field(default=1, ge=1, le=64)
    #: Projects, their keys, allowed origins and limits: see `services/ingest/keys.py`. Without it there is one project.
    projects_file: Path | None = None
    #: How many items of a category a key may send in a minute, as JSON; `{}` is no limit.
    rate_limits_per_minute: dict[Category, Annotated[int, Field(ge=0)]] = Field(default_factory=_generous)
    #: The largest body, both as sent and decompressed.
    body_bytes_max: int = Field(default=1_048_576, ge=1_024)
    #: The same for the Sentry and OTLP protocols, whose clients choose what they put together, and add attachments.
    protocol_body_bytes_max: int = Field(default=4_194_304, ge=1_024)
    #: The most bytes of a request's line and fields, and the most fields; above it the answer is 431.
    head_bytes_max: int = Field(default=32_768, ge=1_024)
    head_fields_max: int = Field(default=100, ge=10)
    #: How long a request may take to send its line and fields; then the answer is 408.
    head_timeout_s: float = Field(default=5.0, gt=0)
    #: How long a request may take to send its body, so that slow senders do not pile up.
    body_timeout_s: float = Field(default=10.0, gt=0)
    #: The most items in one request.
    batch_events_max: int = Field(default=1_000, ge=1)
    #: How long Kafka may take to acknowledge a batch; then its records go to the spool, and so does all that follows.
    publish_timeout_s: float = Field(default=2.0, gt=0)
    #: Kafka producers of one process, each with one request to a broker in flight.
    publish_producers: int = Field(default=2, ge=1, le=16)
    #: How batches are compressed.
    publish_compression: Literal["none", "gzip", "lz4", "snappy", "zstd"] = "zstd"
    #: Where the local stack keeps its state.
    state_dir: Path = Path(".local")
    #: Where records are kept while Kafka does not take them, which should outlive a reboot; `spool` in the state
    #: folder when it is not set.
    ingest_spool_dir: Path | None = None
    #: The most bytes that one process keeps there; above it requests are answered 503. 0 switches the spool off.
    ingest_spool_bytes_max: int = Field(default=536_870_912, ge=0)
    #: How long a stopping process goes on sending the spool to Kafka.
    ingest_spool_drain_s: float = Field(default=5.0, ge=0)
    #: How long a stopping process says that it is not ready before it takes no more connections.
    ingest_unready_s: float = Field(default=0.2, ge=0)
    #: Bodies that wait for Kafka; above it requests are answered 503 before they are parsed.
    in_flight_bytes_max: int = Field(default=33_554_432, ge=1_024)
    #: How long to wait for Kafka at start, before starting with the spool alone.
    startup_timeout_s: float = Field(default=3.0, gt=0)

    @property
    def spool_dir(self) -> Path:
        return self.ingest_spool_dir or self.state_dir / "spool"
