"""What stands in for Kafka and for the clock, and short ways to build what is tested."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
from pydantic import SecretStr

from services.ingest import metrics
from services.ingest.app import create_app
from services.ingest.messages import Arrival
from services.ingest.publisher import Durability, Message
from services.ingest.settings import IngestSettings
from shared.errors import PublishError, Retryable

PUBLIC, SECRET = "sbpk_public", "sbsk_secret"
NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
ARRIVAL = Arrival(
    received_at=NOW,
    project="shop",
    source="server",
    traceparent="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
)


class FixedClock:
    """A clock that stands still."""

    def now(self) -> datetime:
        return NOW


class MemoryPublisher:
    """Remembers what is published; `away` makes it fail as when Kafka is away and the spool is full."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.away = False
        self.durability = Durability.KAFKA

    async def publish(self, messages: Sequence[Message]) -> Durability:
        if self.away:
            raise PublishError(messages[0].topic.name, "the spool's 4096 bytes are in use")
        self.messages.extend(messages)
        return self.durability

    async def offer(self, messages: Sequence[Message]) -> Durability | None:
        if self.away:
            metrics.DROPPED.labels("full").inc(len(messages))  # as the real one does
            return None
        return await self.publish(messages)

    async def check(self) -> str:
        if self.away:
            raise Retryable("Kafka does not answer")
        return "ok"


def settings(**changed: Any) -> IngestSettings:
    """Settings of a test, whatever the environment says."""
    keys = {"public_key": SecretStr(PUBLIC), "secret_key": SecretStr(SECRET), "project": "shop"}
    return IngestSettings(**{**keys, **changed})


def client(publisher: MemoryPublisher, *, key: str = SECRET, **changed: Any) -> httpx.AsyncClient:
    """A client of an app of its own, which shows `key` unless it is empty."""
    app = create_app(settings(**changed), publisher, FixedClock())
    return httpx.AsyncClient(
        transport=httpx.ASGITransport(app),
        base_url="http://ingest",
        headers={"Authorization": f"Bearer {key}"} if key else {},
    )
