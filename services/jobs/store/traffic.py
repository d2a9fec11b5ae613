"""Page views and custom events: raw rows, and counts by minute."""

from collections.abc import Sequence
from datetime import datetime

import msgspec

from services.jobs.store.database import Connection
from shared.contracts.events import CustomEvent, Envelope, PageView


class Count(msgspec.Struct, kw_only=True, frozen=True):
    """How often something happened in a span."""

    name: str
    count: int


async def save_page_views(connection: Connection, views: Sequence[Envelope[PageView]]) -> None:
    """Store page views that are not stored yet, and count them."""
    await connection.execute(
        """
        WITH new AS (
            INSERT INTO page_views (project, id, occurred_at, received_at, page, data)
            SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::jsonb[])
            ON CONFLICT (project, id) DO NOTHING RETURNING project, page, date_trunc('minute', occurred_at) AS minute
        )
        INSERT INTO page_views_minute AS stored (project, page, minute, views)
        SELECT project, page, minute, count(*) FROM new GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (project, page, minute) DO UPDATE SET views = stored.views + excluded.views
        """,
        *_columns(views),
        [view.data.page for view in views],
        [view.data for view in views],
    )


async def save_custom_events(connection: Connection, events: Sequence[Envelope[CustomEvent]]) -> None:
    """Store custom events that are not stored yet, and count them."""
    await connection.execute(
        """
        WITH new AS (
            INSERT INTO custom_events (project, id, occurred_at, received_at, name, data)
            SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::jsonb[])
            ON CONFLICT (project, id) DO NOTHING RETURNING project, name, date_trunc('minute', occurred_at) AS minute
        )
        INSERT INTO custom_events_minute AS stored (project, name, minute, count)
        SELECT project, name, minute, count(*) FROM new GROUP BY 1, 2, 3 ORDER BY 1, 2, 3
        ON CONFLICT (project, name, minute) DO UPDATE SET count = stored.count + excluded.count
        """,
        *_columns(events),
        [event.data.name for event in events],
        [event.data for event in events],
    )


def _columns(
    envelopes: Sequence[Envelope[PageView]] | Sequence[Envelope[CustomEvent]],
) -> tuple[list[str], list[str], list[datetime], list[datetime]]:
    return (
        [envelope.project for envelope in envelopes],
        [envelope.id for envelope in envelopes],
        [envelope.occurred_at for envelope in envelopes],
        [envelope.received_at for envelope in envelopes],
    )


async def page_views(connection: Connection, *, project: str, start: datetime, end: datetime) -> list[Count]:
    """Views by page in a span, most first."""
    rows = await connection.fetch(
        "SELECT page AS name, sum(views)::bigint AS count FROM page_views_minute "
        "WHERE project = $1 AND minute >= $2 AND minute < $3 GROUP BY page ORDER BY count DESC, name LIMIT 1000",
        project,
        start,
        end,
    )
    return [Count(**dict(row)) for row in rows]


async def custom_events(
    connection: Connection, *, project: str, start: datetime, end: datetime
) -> list[Count]:
    """Custom events by name in a span, most first."""
    rows = await connection.fetch(
        "SELECT name, sum(count)::bigint AS count FROM custom_events_minute "
        "WHERE project = $1 AND minute >= $2 AND minute < $3 GROUP BY name ORDER BY count DESC, name LIMIT 1000",
        project,
        start,
        end,
    )
    return [Count(**dict(row)) for row in rows]
