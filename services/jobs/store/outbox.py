"""The outbox: what a transaction made true and Kafka has not been told yet."""

from collections.abc import Sequence
from typing import Any, NamedTuple

from services.jobs.store.database import Connection

_LOCK = 0x5B0C6  # one relay at a time, so that records of one key keep their order


class Pending(NamedTuple):
    """One thing to tell; `payload` is its JSON."""

    id: int
    kind: str
    key: str
    event_id: str
    payload: Any


async def add(connection: Connection, kind: str, messages: Sequence[tuple[str, Any]]) -> None:
    """Tell `(key, payload)` pairs once the transaction has committed."""
    if messages:
        await connection.execute(
            "INSERT INTO outbox (kind, key, payload) SELECT $1, * FROM unnest($2::text[], $3::jsonb[])",
            kind,
            [key for key, _ in messages],
            [payload for _, payload in messages],
        )


async def take(connection: Connection, limit: int) -> list[Pending]:
    """The oldest messages, taken out when the transaction commits; none while another relay is at work."""
    if not await connection.fetchval("SELECT pg_try_advisory_xact_lock($1)", _LOCK):
        return []
    rows = await connection.fetch(
        "WITH taken AS (DELETE FROM outbox WHERE id IN (SELECT id FROM outbox ORDER BY id LIMIT $1) RETURNING *) "
        "SELECT id, kind, key, event_id, payload FROM taken ORDER BY id",
        limit,
    )
    return [Pending(row["id"], row["kind"], row["key"], str(row["event_id"]), row["payload"]) for row in rows]
