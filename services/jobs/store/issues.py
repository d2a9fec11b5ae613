"""Errors: raw rows, and the issues that they belong to."""

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any

import asyncpg
import msgspec

from services.jobs.issues import Group, group
from services.jobs.store import outbox
from services.jobs.store.database import Connection
from shared.contracts.events import Envelope, Error
from shared.contracts.issues import IssueChange, IssueChangeKind
from shared.ids import new_id


class IssueState(StrEnum):
    """What somebody decided about an issue, or what happened to that decision."""

    OPEN = "open"
    RESOLVED = "resolved"
    IGNORED = "ignored"
    #: It was resolved, and a later event came in.
    REGRESSED = "regressed"


async def save(connection: Connection, errors: Sequence[Envelope[Error]]) -> None:
    """Store errors that are not stored yet, file them under their issues, and tell which were opened or regressed."""
    grouped = [(error, group(error.data)) for error in errors]
    new = await _insert(connection, grouped)
    by_issue: dict[tuple[str, str], list[tuple[Envelope[Error], Group]]] = {}
    for error, filed in new:
        by_issue.setdefault((error.project, filed.fingerprint), []).append((error, filed))
    changes = []
    for key in sorted(by_issue):  # sorted: two workers lock issues in one order
        change = await _file(connection, by_issue[key])
        if change is not None:
            changes.append((change.id, change))
    await outbox.add(connection, "issue", changes)


async def _insert(
    connection: Connection, grouped: Sequence[tuple[Envelope[Error], Group]]
) -> list[tuple[Envelope[Error], Group]]:
    rows = await connection.fetch(
        """
        INSERT INTO error_events (project, id, fingerprint, occurred_at, received_at, data)
        SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::timestamptz[], $6::jsonb[])
        ON CONFLICT (project, id) DO NOTHING RETURNING project, id
        """,
        [error.project for error, _ in grouped],
        [error.id for error, _ in grouped],
        [filed.fingerprint for _, filed in grouped],
        [error.occurred_at for error, _ in grouped],
        [error.received_at for error, _ in grouped],
        [error.data for error, _ in grouped],
    )
    inserted = {(row["project"], row["id"]) for row in rows}
    new = {}
    for error, filed in grouped:
        key = (error.project, error.id)
        if key in inserted and key not in new:
            new[key] = (error, filed)
    return list(new.values())


async def _file(
    connection: Connection, events: Sequence[tuple[Envelope[Error], Group]]
) -> IssueChange | None:
    """Add events to their one issue; returns what is worth telling about it."""
    first = min(events, key=lambda event: event[0].occurred_at)
    last = max(events, key=lambda event: event[0].occurred_at)
    filed = first[1]
    # A statement of its own: within the upsert the row's former state cannot be read any more.
    state_before = await connection.fetchval(
        "SELECT state FROM issues WHERE project = $1 AND fingerprint = $2 FOR UPDATE",
        first[0].project,
        filed.fingerprint,
    )
    row = await connection.fetchrow(
        """
        INSERT INTO issues AS stored
            (id, project, fingerprint, title, culprit, level, event_count, first_seen, last_seen, last_release)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)
        ON CONFLICT (project, fingerprint) DO UPDATE SET
            event_count = stored.event_count + excluded.event_count,
            first_seen = least(stored.first_seen, excluded.first_seen),
            last_seen = greatest(stored.last_seen, excluded.last_seen),
            last_release = CASE WHEN excluded.last_seen >= stored.last_seen
                                THEN excluded.last_release ELSE stored.last_release END,
            level = excluded.level,
            state = CASE WHEN stored.state = 'resolved' AND excluded.last_seen > stored.resolved_at
                         THEN 'regressed' ELSE stored.state END
        RETURNING id, title, culprit, level, first_seen, state, (xmax = 0) AS opened
        """,
        new_id(),
        first[0].project,
        filed.fingerprint,
        filed.title,
        filed.culprit,
        last[0].data.level,
        len(events),
        first[0].occurred_at,
        last[0].occurred_at,
        last[0].data.release,
    )
    assert row is not None
    if row["opened"]:
        return _change(row, IssueChangeKind.OPENED, first[0])
    if row["state"] == IssueState.REGRESSED and state_before == IssueState.RESOLVED:
        return _change(row, IssueChangeKind.REGRESSED, last[0])
    return None


def _change(row: asyncpg.Record, kind: IssueChangeKind, event: Envelope[Error]) -> IssueChange:
    return IssueChange(
        id=str(row["id"]),
        project=event.project,
        change=kind,
        title=row["title"],
        culprit=row["culprit"],
        level=row["level"],
        first_seen=row["first_seen"],
        event_id=event.id,
    )


class Issue(msgspec.Struct, kw_only=True, frozen=True):
    """One row of the list of issues."""

    id: str
    title: str
    culprit: str
    level: str
    state: IssueState
    count: int
    first_seen: datetime
    last_seen: datetime
    last_release: str


class IssueEvent(msgspec.Struct, kw_only=True, frozen=True):
    """One occurrence; `data` is what the producer sent."""

    id: str
    occurred_at: datetime
    received_at: datetime
    data: dict[str, Any]


class IssueDetail(msgspec.Struct, kw_only=True, frozen=True):
    """An issue with its newest occurrences."""

    issue: Issue
    events: list[IssueEvent]


_COLUMNS = "id, title, culprit, level, state, event_count, first_seen, last_seen, last_release"


async def newest(connection: Connection, *, project: str, state: str | None, limit: int) -> list[Issue]:
    """Issues, the one seen last first; `state` None stands for any."""
    rows = await connection.fetch(
        f"SELECT {_COLUMNS} FROM issues WHERE project = $1 AND ($2::text IS NULL OR state = $2) "  # noqa: S608
        "ORDER BY last_seen DESC LIMIT $3",
        project,
        state,
        limit,
    )
    return [_issue(row) for row in rows]


async def detail(connection: Connection, *, project: str, id: str, events_max: int) -> IssueDetail | None:
    """One issue, or None."""
    row = await connection.fetchrow(
        f"SELECT {_COLUMNS}, fingerprint FROM issues WHERE project = $1 AND id = $2",  # noqa: S608
        project,
        id,
    )
    if row is None:
        return None
    events = await connection.fetch(
        "SELECT id, occurred_at, received_at, data FROM error_events WHERE project = $1 AND fingerprint = $2 "
        "ORDER BY occurred_at DESC LIMIT $3",
        project,
        row["fingerprint"],
        events_max,
    )
    return IssueDetail(issue=_issue(row), events=[IssueEvent(**dict(event)) for event in events])


async def decide(connection: Connection, *, project: str, id: str, state: IssueState) -> bool:
    """Record somebody's decision about an issue; False when there is no such issue.

    A resolved issue regresses with the first event that occurs after this moment.
    """
    tag = await connection.execute(
        "UPDATE issues SET state = $3, resolved_at = CASE WHEN $3 = 'resolved' THEN now() END "
        "WHERE project = $1 AND id = $2",
        project,
        id,
        state.value,
    )
    return bool(tag == "UPDATE 1")


def _issue(row: asyncpg.Record) -> Issue:
    return Issue(
        id=str(row["id"]),
        title=row["title"],
        culprit=row["culprit"],
        level=row["level"],
        state=IssueState(row["state"]),
        count=row["event_count"],
        first_seen=row["first_seen"],
        last_seen=row["last_seen"],
        last_release=row["last_release"],
    )
