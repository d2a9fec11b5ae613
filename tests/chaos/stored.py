"""What is in the database of what producers sent, and whether more is still on its way there through Kafka."""

import asyncio
import time
from collections.abc import Callable
from typing import NamedTuple

import asyncpg
from aiokafka import AIOKafkaConsumer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient

from shared.contracts.topics import ERRORS, EVENTS, METRICS, PAGE_VIEWS
from tests.chaos.checker import Row, Stored
from tests.chaos.history import EventType, bare_id

TOPICS = (ERRORS, METRICS, PAGE_VIEWS, EVENTS)
#: The consumer group of the workers that store events: the name of their Faust app.
GROUP = "signalbox-jobs"
#: Storing is given up when nothing has moved for so long.
_STUCK_S = 90.0
_LOOK_S = 0.5

_MINUTE = "to_char({} AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI')"
_OCCURRED = _MINUTE.format("occurred_at")
_WINDOW = _MINUTE.format("minute")

#: By type: raw rows as (id, group), and what is counted as (group, count). `$1` is the case's label.
_QUERIES: dict[EventType, tuple[str, str]] = {
    "page_view": (
        f"SELECT id, page || ' ' || {_OCCURRED} FROM page_views WHERE page LIKE $1 || '/%'",
        f"SELECT page || ' ' || {_WINDOW}, views FROM page_views_minute WHERE page LIKE $1 || '/%'",
    ),
    "metric": (
        f"SELECT id, concat_ws(' ', page, name, {_OCCURRED}) FROM metrics WHERE page LIKE $1 || '/%'",
        f"SELECT concat_ws(' ', page, metric, {_WINDOW}), count FROM vitals_minute WHERE page LIKE $1 || '/%'",
    ),
    "event": (
        f"SELECT id, name || ' ' || {_OCCURRED} FROM custom_events WHERE name LIKE $1 || '-%'",
        f"SELECT name || ' ' || {_WINDOW}, count FROM custom_events_minute WHERE name LIKE $1 || '-%'",
    ),
    "error": (
        "SELECT id, fingerprint FROM error_events WHERE data ->> 'exception_type' = $1",
        "SELECT fingerprint, event_count FROM issues WHERE title LIKE $1 || ':%'",
    ),
}


class Progress(NamedTuple):
    """How far the workers are with the event topics, over all partitions."""

    #: Records that were ever written: duplicates too.
    written: int
    committed: int


async def stored(dsn: str, label: str) -> Stored:
    """Everything that the database has of a case."""
    rows: list[Row] = []
    counted: dict[tuple[EventType, str], int] = {}
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        for type, (raw, aggregate) in _QUERIES.items():
            rows += [
                Row(type, bare_id(id), group) for id, group in await connection.fetch(raw, label, timeout=60)
            ]
            for group, count in await connection.fetch(aggregate, label, timeout=60):
                counted[type, group] = counted.get((type, group), 0) + int(count)
    finally:
        await connection.close()
    return Stored(rows, counted)


async def progress(bootstrap: str) -> Progress:
    """Ask Kafka. Raises KafkaError, and TimeoutError after 10 s."""
    partitions = [
        TopicPartition(topic.name, number) for topic in TOPICS for number in range(topic.partitions)
    ]
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    consumer = AIOKafkaConsumer(bootstrap_servers=bootstrap, request_timeout_ms=5_000)
    async with asyncio.timeout(10):
        await admin.start()
        await consumer.start()
        try:
            ends = await consumer.end_offsets(partitions)
            offsets = await admin.list_consumer_group_offsets(GROUP, partitions=partitions)
        finally:
            await consumer.stop()
            await admin.close()
    # A partition without a record has no committed offset: -1.
    return Progress(sum(ends.values()), sum(max(0, offset.offset) for offset in offsets.values()))


async def all_consumed(bootstrap: str, say: Callable[[str], None]) -> Progress:
    """Return when the workers have stored all that is on the topics, or have not moved for `_STUCK_S`."""
    moved_at, last, told_at = time.monotonic(), Progress(-1, -1), time.monotonic()
    while True:
        now = await progress(bootstrap)
        if now.committed >= now.written or time.monotonic() - moved_at > _STUCK_S:
            return now
        if now != last:
            moved_at, last = time.monotonic(), now
        if time.monotonic() - told_at > 10:
            told_at = time.monotonic()
            say(f"  storing: {now.committed:,} of {now.written:,} records")
        await asyncio.sleep(_LOOK_S)
