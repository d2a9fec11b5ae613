"""The relay: outbox rows to Kafka, in order, each deleted only when Kafka has acknowledged it."""

import asyncio

from services.jobs import metrics
from services.jobs.publisher import Message, Publisher, message
from services.jobs.store import outbox
from services.jobs.store.database import Database
from services.jobs.store.outbox import Pending
from shared import logs
from shared.contracts.topics import ISSUES, JOBS_DEAD, JOBS_STATUS, WEB_VITALS, Topic
from shared.errors import Retryable

_log = logs.get(__name__)

_MESSAGES_MAX = 1_000
_IDLE_S = 0.2  # what an aggregate's or a status's reader waits at most
_PAUSE_S = 1.0


_TOPICS: dict[str, Topic] = {
    "job_status": JOBS_STATUS,
    "job_dead": JOBS_DEAD,
    "web_vitals": WEB_VITALS,
    "issue": ISSUES,
}


async def relay(database: Database, publisher: Publisher) -> None:
    """Empty the outbox until cancelled. A crash after Kafka's word and before ours tells a message twice."""
    while True:
        try:
            moved = await _move(database, publisher)
        except Retryable as error:
            _log.warning("relay_waits", error=str(error))
            moved = 0
            await asyncio.sleep(_PAUSE_S)
        if moved < _MESSAGES_MAX:
            await asyncio.sleep(_IDLE_S)


async def _move(database: Database, publisher: Publisher) -> int:
    async with database.transaction() as connection:
        pending = await outbox.take(connection, _MESSAGES_MAX)
        await publisher.publish([record for row in pending if (record := _message(row)) is not None])
    for row in pending:
        metrics.MESSAGES_RELAYED.labels(row.kind).inc()
    return len(pending)


def _message(row: Pending) -> Message | None:
    """The row as a record; None when Kafka would not take it: what it tells stays in PostgreSQL only."""
    record = message(_TOPICS[row.kind], key=row.key, id=row.event_id, payload=row.payload)
    if record.fits():
        return record
    _log.error("message_too_large", kind=row.kind, key=row.key)
    return None
