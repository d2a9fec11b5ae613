"""Metrics: raw rows, and one aggregate row a minute."""

from collections.abc import Sequence
from datetime import datetime

import asyncpg
import msgspec

from services.jobs import sketch
from services.jobs.store import outbox
from services.jobs.store.database import Connection
from services.jobs.vitals import Window, WindowKey, windows
from shared.contracts.events import Envelope, Metric
from shared.contracts.vitals import Rating, VitalsWindow


async def save(connection: Connection, metrics: Sequence[Envelope[Metric]]) -> None:
    """Store samples that are not stored yet, add them to their minutes, and tell what the minutes are now."""
    new = await _insert(connection, metrics)
    changed = [await _add(connection, key, window) for key, window in windows(new)]
    await outbox.add(connection, "web_vitals", [(window.key, window) for window in changed])


async def _insert(connection: Connection, metrics: Sequence[Envelope[Metric]]) -> list[Envelope[Metric]]:
    """Insert raw rows and return the envelopes that were new: the rest are duplicates, in the batch or before it."""
    rows = await connection.fetch(
        """
        INSERT INTO metrics (project, id, occurred_at, received_at, page, name, value, device, data)
        SELECT * FROM unnest($1::text[], $2::text[], $3::timestamptz[], $4::timestamptz[], $5::text[], $6::text[],
                             $7::float8[], $8::text[], $9::jsonb[])
        ON CONFLICT (project, id) DO NOTHING RETURNING project, id
        """,
        [m.project for m in metrics],
        [m.id for m in metrics],
        [m.occurred_at for m in metrics],
        [m.received_at for m in metrics],
        [m.data.page for m in metrics],
        [m.data.name for m in metrics],
        [m.data.value for m in metrics],
        [m.data.device for m in metrics],
        [m.data for m in metrics],
    )
    inserted = {(row["project"], row["id"]) for row in rows}
    new = []
    for metric in metrics:
        if (metric.project, metric.id) in inserted:
            inserted.remove((metric.project, metric.id))  # a second one in the batch is a duplicate
            new.append(metric)
    return new


async def _add(connection: Connection, key: WindowKey, window: Window) -> VitalsWindow:
    row = await connection.fetchrow(
        """
        INSERT INTO vitals_minute AS stored (project, page, metric, device, minute, count, sum, min, max,
                                             good, needs_improvement, poor, buckets)
        VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13)
        ON CONFLICT (project, metric, page, device, minute) DO UPDATE SET
            count = stored.count + excluded.count,
            sum = stored.sum + excluded.sum,
            min = least(stored.min, excluded.min),
            max = greatest(stored.max, excluded.max),
            good = stored.good + excluded.good,
            needs_improvement = stored.needs_improvement + excluded.needs_improvement,
            poor = stored.poor + excluded.poor,
            buckets = buckets_merged(stored.buckets, excluded.buckets)
        RETURNING *
        """,
        *key,
        len(window.values),
        sum(window.values),
        min(window.values),
        max(window.values),
        window.ratings[Rating.GOOD],
        window.ratings[Rating.NEEDS_IMPROVEMENT],
        window.ratings[Rating.POOR],
        window.buckets(),
    )
    assert row is not None
    return _window(row)


def _window(row: asyncpg.Record) -> VitalsWindow:
    buckets = _buckets(row)
    return VitalsWindow(
        project=row["project"],
        page=row["page"],
        metric=row["metric"],
        device=row["device"],
        minute=row["minute"],
        count=row["count"],
        sum=row["sum"],
        min=row["min"],
        max=row["max"],
        p50=sketch.quantile(buckets, 0.5),
        p75=sketch.quantile(buckets, 0.75),
        p95=sketch.quantile(buckets, 0.95),
        p99=sketch.quantile(buckets, 0.99),
        good=row["good"],
        needs_improvement=row["needs_improvement"],
        poor=row["poor"],
    )


def _buckets(row: asyncpg.Record) -> dict[int, int]:
    return msgspec.convert(row["buckets"], dict[int, int], strict=False)


class VitalsSummary(msgspec.Struct, kw_only=True, frozen=True):
    """A span of one metric on one page, all samples merged."""

    metric: str
    page: str
    device: str
    count: int
    p50: float
    p75: float
    p95: float
    p99: float
    good: int
    needs_improvement: int
    poor: int


async def summaries(
    connection: Connection,
    *,
    project: str,
    start: datetime,
    end: datetime,
    metric: str | None,
    page: str | None,
    device: str | None,
    by_page: bool,
) -> list[VitalsSummary]:
    """What was measured in a span, by metric (and page); None stands for any."""
    rows = await connection.fetch(
        """
        SELECT metric, CASE WHEN $7 THEN page ELSE '' END AS page, count, good, needs_improvement, poor, buckets
        FROM vitals_minute
        WHERE project = $1 AND minute >= $2 AND minute < $3 AND ($4::text IS NULL OR metric = $4)
          AND ($5::text IS NULL OR page = $5) AND ($6::text IS NULL OR device = $6)
        """,
        project,
        start,
        end,
        metric,
        page,
        device,
        by_page,
    )
    groups: dict[tuple[str, str], list[asyncpg.Record]] = {}
    for row in rows:
        groups.setdefault((row["metric"], row["page"]), []).append(row)
    return [_summary(name, where, device or "", group) for (name, where), group in sorted(groups.items())]


def _summary(metric: str, page: str, device: str, rows: Sequence[asyncpg.Record]) -> VitalsSummary:
    buckets = sketch.merged(_buckets(row) for row in rows)
    return VitalsSummary(
        metric=metric,
        page=page,
        device=device,
        count=sum(row["count"] for row in rows),
        p50=sketch.quantile(buckets, 0.5),
        p75=sketch.quantile(buckets, 0.75),
        p95=sketch.quantile(buckets, 0.95),
        p99=sketch.quantile(buckets, 0.99),
        good=sum(row["good"] for row in rows),
        needs_improvement=sum(row["needs_improvement"] for row in rows),
        poor=sum(row["poor"] for row in rows),
    )
