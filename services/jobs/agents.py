"""Agents: what becomes of the records of a topic. Plain async functions over streams; app.py gives them to Faust.

A batch is decoded, stored in one transaction, and only then acknowledged. Storing again what is stored changes
nothing, so a crash between the two is harmless. A record that cannot be processed becomes a dead letter and takes
nothing else with it; while PostgreSQL or Kafka is away the agent waits, and its records wait in Kafka.
"""

import asyncio
import random
import time
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Generic, NamedTuple, TypeVar

from services.jobs import metrics
from services.jobs.publisher import Publisher
from services.jobs.records import Decoder, Record, batched
from services.jobs.store import issues, jobs, load_tests, traffic, vitals
from services.jobs.store.database import Connection, Database
from shared import logs
from shared.contracts.events import Envelope
from shared.contracts.jobs import JobHint, JobRequest
from shared.contracts.topics import ERRORS, EVENTS, JOB_REQUESTS, LOAD_TESTS, METRICS, PAGE_VIEWS, Topic
from shared.errors import PoisonRecord, Retryable

_log = logs.get(__name__)

_BACKOFF_S_MIN, _BACKOFF_S_MAX = 0.1, 5.0

T = TypeVar("T")
#: Stores a batch; may return hints, which are sent once the transaction has committed.
Save = Callable[[Connection, Sequence[T]], Awaitable[Sequence[JobHint] | None]]
Agent = Callable[[AsyncIterable[Record]], Awaitable[None]]


class _Item(NamedTuple, Generic[T]):
    record: Record
    payload: T


class Intake(Generic[T]):
    """One topic's way into the store."""

    def __init__(
        self, topic: Topic, save: Save[T], database: Database, publisher: Publisher, *, batch_records_max: int
    ) -> None:
        self._topic = topic
        self._save = save
        self._database = database
        self._publisher = publisher
        self._batch_records_max = batch_records_max
        self._decoder: Decoder[T] = Decoder(topic.payload)

    async def agent(self, records: AsyncIterable[Record]) -> None:
        """Store every record of a stream."""
        async for batch in batched(records, self._batch_records_max):
            await self.take_in(batch)

    async def take_in(self, batch: Sequence[Record]) -> None:
        """Store a batch and acknowledge it; returns when each record is stored or buried."""
        started = time.perf_counter()
        items = []
        for record in batch:
            try:
                items.append(_Item(record, self._decoder.decode(record.value)))
            except PoisonRecord as poison:
                await self._bury(record, poison)
        if items:
            await self._store(items)
        for record in batch:
            record.ack()
        metrics.STORE_DURATION.labels(self._topic.name).observe(time.perf_counter() - started)
        metrics.RECORDS_STORED.labels(self._topic.name).inc(len(items))

    async def _store(self, items: Sequence[_Item[T]]) -> None:
        """Store what can be stored; a batch with bad data is halved until the bad record is alone."""
        try:
            await _insist(lambda: self._store_once([item.payload for item in items]))
        except PoisonRecord as poison:
            if len(items) == 1:
                await self._bury(items[0].record, poison)
                return
            middle = len(items) // 2
            await self._store(items[:middle])
            await self._store(items[middle:])
            return
        _observe_delay(self._topic, items)

    async def _bury(self, record: Record, poison: PoisonRecord) -> None:
        await _insist(lambda: self._publisher.bury(record, poison))

    async def _store_once(self, payloads: Sequence[T]) -> None:
        async with self._database.transaction() as connection:
            hints = await self._save(connection, payloads)
        if hints:
            await self._publisher.hint(hints)


async def _insist(attempt: Callable[[], Awaitable[None]]) -> None:
    """Do it until it works or can never work, with growing, jittered pauses."""
    pause_s = _BACKOFF_S_MIN
    while True:
        try:
            return await attempt()
        except Retryable as error:
            _log.warning("waiting", error=str(error), pause_s=round(pause_s, 2))
        await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))  # noqa: S311 - jitter, no secret
        pause_s = min(pause_s * 2, _BACKOFF_S_MAX)


def _observe_delay(topic: Topic, items: Sequence[_Item[T]]) -> None:
    now = datetime.now(UTC)
    for item in items:
        if isinstance(item.payload, Envelope):
            delay = (now - item.payload.received_at).total_seconds()
            metrics.CAPTURE_DELAY.labels(topic.name).observe(max(0.0, delay))


def agents(
    database: Database, publisher: Publisher, max_attempts: Mapping[str, int], *, batch_records_max: int
) -> Mapping[Topic, Agent]:
    """Every topic that agents read, and its agent; `max_attempts` is each job type's own number."""

    async def save_requests(connection: Connection, requests: Sequence[JobRequest]) -> Sequence[JobHint]:
        return await jobs.insert(connection, requests, max_attempts)

    saves: dict[Topic, Save[Any]] = {
        ERRORS: issues.save,
        METRICS: vitals.save,
        PAGE_VIEWS: traffic.save_page_views,
        EVENTS: traffic.save_custom_events,
        LOAD_TESTS: load_tests.save,
        JOB_REQUESTS: save_requests,
    }
    return {
        topic: Intake(topic, save, database, publisher, batch_records_max=batch_records_max).agent
        for topic, save in saves.items()
    }
