"""The same client for asyncio: what returns at once is called as before, what waits is awaited."""

import asyncio
from collections.abc import Mapping
from datetime import datetime
from types import TracebackType
from typing import Any, Self

from signalbox_client.client import Client
from signalbox_client.sender import Counts


class AsyncClient:
    """A `Client` whose waiting calls do not hold up the event loop; its arguments are those of `Client`.

    The tracking calls need no await: they hand an event to the thread that sends it. Calls that wait for an answer
    run in the loop's default executor, so that this package needs no HTTP client of asyncio's.
    """

    def __init__(self, url: str, key: str, **options: Any) -> None:
        self._client = Client(url, key, **options)
        self.track_error = self._client.track_error
        self.track_metric = self._client.track_metric
        self.track_page_view = self._client.track_page_view
        self.track_event = self._client.track_event

    async def enqueue_job(
        self,
        type: str,
        payload: Mapping[str, Any] | None = None,
        priority: int = 5,
        scheduled_at: datetime | None = None,
        idempotency_key: str | None = None,
        *,
        timeout_s: float = 10.0,
    ) -> str:
        """See `Client.enqueue_job`. A cancelled call may have asked for the job all the same."""
        return await asyncio.to_thread(
            self._client.enqueue_job,
            type,
            payload,
            priority,
            scheduled_at,
            idempotency_key,
            timeout_s=timeout_s,
        )

    async def changed(self, entity: str, key: str | None = None, *, timeout_s: float = 10.0) -> None:
        """See `Client.changed`."""
        await asyncio.to_thread(self._client.changed, entity, key, timeout_s=timeout_s)

    async def flush(self, timeout_s: float = 10.0) -> bool:
        """See `Client.flush`."""
        return await asyncio.to_thread(self._client.flush, timeout_s)

    def counts(self) -> Counts:
        """See `Client.counts`."""
        return self._client.counts()

    async def close(self) -> None:
        """See `Client.close`."""
        await asyncio.to_thread(self._client.close)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
