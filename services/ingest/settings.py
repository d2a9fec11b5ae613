"""Everything that can be set about ingest; see `shared.settings` for how variables are named."""

from pydantic import Field

from shared.settings import HttpSettings, KafkaSettings, KeySettings


class IngestSettings(HttpSettings, KafkaSettings, KeySettings):
    """Where ingest listens, and how much it takes at a time."""

    #: The port to bind.
    ingest_port: int = Field(default=8001, ge=1, le=65_535)
    #: The largest body, both as sent and decompressed.
    body_bytes_max: int = Field(default=1_048_576, ge=1_024)
    #: How long a request may take to send its body, so that slow senders do not pile up.
    body_timeout_s: float = Field(default=10.0, gt=0)
    #: The most items in one request.
    batch_events_max: int = Field(default=1_000, ge=1)
    #: How long a request waits for Kafka to acknowledge all of its records; then it is answered 503.
    publish_timeout_s: float = Field(default=5.0, gt=0)
    #: Bodies that wait for Kafka; above it requests are answered 503 before they are parsed.
    in_flight_bytes_max: int = Field(default=33_554_432, ge=1_024)
    #: How long to wait for Kafka at start, before giving up.
    startup_timeout_s: float = Field(default=60.0, gt=0)
