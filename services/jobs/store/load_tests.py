"""Outcomes of load tests."""

from collections.abc import Sequence

import msgspec

from services.jobs.store.database import Connection
from shared.contracts.load_tests import LoadTestResult


async def save(connection: Connection, results: Sequence[LoadTestResult]) -> None:
    """Store results that are not stored yet."""
    await connection.execute(
        "INSERT INTO load_tests (id, started_at, scenario, result) "
        "SELECT * FROM unnest($1::uuid[], $2::timestamptz[], $3::text[], $4::jsonb[]) ON CONFLICT (id) DO NOTHING",
        [result.id for result in results],
        [result.started_at for result in results],
        [result.scenario for result in results],
        list(results),
    )


async def newest(connection: Connection, limit: int) -> list[LoadTestResult]:
    """The last runs, newest first."""
    rows = await connection.fetch("SELECT result FROM load_tests ORDER BY started_at DESC LIMIT $1", limit)
    return [msgspec.convert(row["result"], LoadTestResult) for row in rows]
