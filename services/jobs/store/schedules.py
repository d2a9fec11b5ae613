"""Schedules: what is to come again, and the jobs of their ticks."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import asyncpg
import msgspec

from services.jobs.cron import Missed, due_ticks, next_tick
from services.jobs.store.database import Connection
from shared import logs
from shared.contracts.jobs import PRIORITY_DEFAULT, JobHint, JobType
from shared.errors import Invalid
from shared.ids import derived_id

_log = logs.get(__name__)

_SLICE = 100  # schedules that one round takes at most


class Schedule(msgspec.Struct, kw_only=True, frozen=True):
    """A job that comes again by the clock."""

    name: str
    cron: str
    type: JobType
    timezone: str = "UTC"
    payload: dict[str, Any] = {}
    priority: int = PRIORITY_DEFAULT
    missed: Missed = Missed.ONCE
    enabled: bool = True
    next_at: datetime | None = None
    last_at: datetime | None = None


async def put(connection: Connection, schedule: Schedule, *, only_new: bool = False) -> Schedule:
    """Add or replace a schedule; with `only_new` one that exists is left as somebody changed it.

    Raises Invalid for an expression or a time zone that is none.
    """
    now: datetime = await connection.fetchval("SELECT now()")
    conflict = (
        "DO NOTHING"
        if only_new
        else "DO UPDATE SET cron = excluded.cron, timezone = excluded.timezone, type = excluded.type, "
        "payload = excluded.payload, priority = excluded.priority, missed = excluded.missed, "
        "enabled = excluded.enabled, next_at = excluded.next_at"
    )
    await connection.execute(
        "INSERT INTO schedules (name, cron, timezone, type, payload, priority, missed, enabled, next_at) "  # noqa: S608
        f"VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (name) {conflict}",
        schedule.name,
        schedule.cron,
        schedule.timezone,
        schedule.type.value,
        schedule.payload,
        schedule.priority,
        schedule.missed.value,
        schedule.enabled,
        next_tick(schedule.cron, schedule.timezone, now),
    )
    stored = await get(connection, schedule.name)
    assert stored is not None
    return stored


async def get(connection: Connection, name: str) -> Schedule | None:
    """One schedule, or None."""
    row = await connection.fetchrow("SELECT * FROM schedules WHERE name = $1", name)
    return None if row is None else _schedule(row)


async def all_of_them(connection: Connection) -> list[Schedule]:
    """Every schedule, by name."""
    return [_schedule(row) for row in await connection.fetch("SELECT * FROM schedules ORDER BY name")]


async def remove(connection: Connection, name: str) -> bool:
    """Forget a schedule; its jobs stay. False when there is none."""
    return bool(await connection.execute("DELETE FROM schedules WHERE name = $1", name) == "DELETE 1")


async def tick(connection: Connection, *, project: str, max_attempts: Mapping[str, int]) -> list[JobHint]:
    """Make the jobs of every tick that has come; returns hints for them.

    Each tick is one job: its id is derived from the schedule and the tick, and the schedule moves on in the same
    transaction. Rows are locked, so that workers share the schedules and none waits for another.
    """
    now: datetime = await connection.fetchval("SELECT now()")
    rows = await connection.fetch(
        "SELECT * FROM schedules WHERE enabled AND next_at <= $1 ORDER BY next_at LIMIT $2 FOR UPDATE SKIP LOCKED",
        now,
        _SLICE,
    )
    hints: list[JobHint] = []
    for row in rows:
        try:
            ticks, following = due_ticks(
                row["cron"], row["timezone"], first=row["next_at"], now=now, missed=Missed(row["missed"])
            )
        except Invalid as error:  # written past our checks, or of a time zone that was dropped
            _log.error("schedule_disabled", schedule=row["name"], error=error.detail)
            await connection.execute("UPDATE schedules SET enabled = false WHERE name = $1", row["name"])
            continue
        hints += await _insert(connection, row, ticks, project=project, max_attempts=max_attempts)
        await connection.execute(
            "UPDATE schedules SET next_at = $2, last_at = coalesce($3, last_at) WHERE name = $1",
            row["name"],
            following,
            ticks[-1] if ticks else None,
        )
    return hints


async def _insert(
    connection: Connection,
    schedule: asyncpg.Record,
    ticks: Sequence[datetime],
    *,
    project: str,
    max_attempts: Mapping[str, int],
) -> list[JobHint]:
    rows = await connection.fetch(
        """
        INSERT INTO background_jobs
            (id, project, type, payload, priority, scheduled_at, max_attempts, hinted_at, schedule)
        SELECT tick.id, $3, $4, $5, $6, tick.at, $7, now(), $8
        FROM unnest($1::uuid[], $2::timestamptz[]) AS tick (id, at)
        ON CONFLICT (id) DO NOTHING RETURNING id::text, type, priority
        """,
        [derived_id("schedule", schedule["name"], tick.isoformat()) for tick in ticks],
        list(ticks),
        project,
        schedule["type"],
        schedule["payload"],
        schedule["priority"],
        max_attempts.get(schedule["type"], 1),
        schedule["name"],
    )
    return [JobHint(id=row["id"], type=row["type"], priority=row["priority"]) for row in rows]


def _schedule(row: asyncpg.Record) -> Schedule:
    fields = {name: row[name] for name in Schedule.__struct_fields__}
    return Schedule(**fields | {"type": JobType(row["type"]), "missed": Missed(row["missed"])})
