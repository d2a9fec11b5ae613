"""Accepted and stored, counted at both ends: ingest's own counters, and the rows in PostgreSQL."""

from collections.abc import Mapping
from datetime import datetime

import asyncpg
import httpx
from prometheus_client.parser import text_string_to_metric_families

from shared.contracts.topics import ERRORS, EVENTS, JOB_REQUESTS, METRICS, PAGE_VIEWS

#: What is on a topic, and the table that it is stored in, the column that tells when, and which rows.
KINDS = {
    "errors": (ERRORS.name, "error_events", "stored_at", ""),
    "metrics": (METRICS.name, "metrics", "stored_at", ""),
    "page views": (PAGE_VIEWS.name, "page_views", "stored_at", ""),
    "events": (EVENTS.name, "custom_events", "stored_at", ""),
    "job requests": (JOB_REQUESTS.name, "background_jobs", "created_at", "AND schedule IS NULL"),
}


async def accepted(http: httpx.AsyncClient, ingest: str) -> dict[str, int]:
    """Items acknowledged by ingest since it was started, by kind."""
    text = (await http.get(f"{ingest}/metrics")).raise_for_status().text
    by_topic = {
        sample.labels["topic"]: int(sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == "signalbox_ingest_items_accepted_total"
    }
    return {kind: by_topic.get(topic, 0) for kind, (topic, *_) in KINDS.items()}


async def stored(connection: asyncpg.Connection, since: datetime) -> dict[str, int]:
    """Rows stored since a moment of the database's clock, by kind."""
    return {
        kind: await connection.fetchval(f"SELECT count(*) FROM {table} WHERE {column} > $1 {more}", since)
        for kind, (_, table, column, more) in KINDS.items()
    }


def grown(now: Mapping[str, int], before: Mapping[str, int]) -> dict[str, int]:
    """What came in between two counts."""
    return {kind: count - before[kind] for kind, count in now.items()}
