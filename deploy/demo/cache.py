"""The cache seen from outside: a miss, a hit, and one change of a row that two replicas hear of."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import asyncpg
import httpx

from deploy.demo.waiting import until

KEY = "technicians:available"
_LEAVE = "UPDATE app.technicians SET available = false WHERE id = $1"
_RETURN = "UPDATE app.technicians SET available = true WHERE id = $1"


class CacheOutcome(NamedTuple):
    """What was seen."""

    #: `X-Cache` of two gets in a row.
    first: str
    second: str
    #: Of how many replicas the next answer showed the changed row.
    replicas_fresh: int
    replicas: int
    hit_rate: float


async def exercise(
    http: httpx.AsyncClient, replicas: Sequence[str], *, ingest: str, secret_key: str, dsn: str
) -> CacheOutcome:
    """Ask twice; then change a row, tell ingest, and look whether each replica shows it as soon as it has heard."""
    await _tell(http, replicas, ingest, secret_key)
    first, second = [(await _get(http, replicas[0])).headers["X-Cache"] for _ in range(2)]
    before = [_ids(await _get(http, replica)) for replica in replicas]
    gone = before[0][0]
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        await connection.execute(_LEAVE, gone)
        await _tell(http, replicas, ingest, secret_key)
        fresh = [gone not in _ids(await _get(http, replica)) for replica in replicas]
    finally:
        await connection.execute(_RETURN, gone)
        await connection.close()
    await _tell(http, replicas, ingest, secret_key)
    return CacheOutcome(first, second, sum(fresh), len(replicas), await hit_rate(http, replicas))


async def _tell(http: httpx.AsyncClient, replicas: Sequence[str], ingest: str, secret_key: str) -> None:
    """Post one change to ingest; returns when every replica has applied it."""
    before = [await _applied(http, replica) for replica in replicas]
    authorization = {"Authorization": f"Bearer {secret_key}"}
    response = await http.post(f"{ingest}/v1/changes", json={"entity": "technicians"}, headers=authorization)
    response.raise_for_status()

    async def all_applied() -> bool:
        now = [await _applied(http, replica) for replica in replicas]
        return all(count > earlier for count, earlier in zip(now, before, strict=True))

    await until(all_applied, "every replica of the cache to hear of a change")


async def _get(http: httpx.AsyncClient, replica: str) -> httpx.Response:
    response = await http.get(f"{replica}/cache-service", params={"action": "get", "key": KEY})
    return response.raise_for_status()


def _ids(response: httpx.Response) -> list[Any]:
    return [row["id"] for row in response.json()["data"]]


async def _stats(http: httpx.AsyncClient, replica: str) -> dict[str, Any]:
    response = (await http.get(f"{replica}/v1/stats")).raise_for_status()
    stats: dict[str, Any] = response.json()
    return stats


async def _applied(http: httpx.AsyncClient, replica: str) -> int:
    return int((await _stats(http, replica))["invalidations_applied"])


async def hit_rate(http: httpx.AsyncClient, replicas: Sequence[str]) -> float:
    """Hits among all gets since the replicas were started."""
    classes = [row for replica in replicas for row in (await _stats(http, replica))["classes"].values()]
    hits = sum(row["hits_l1"] + row["hits_l2"] for row in classes)
    misses = sum(row["misses"] for row in classes)
    return hits / (hits + misses) if hits + misses else 0.0
