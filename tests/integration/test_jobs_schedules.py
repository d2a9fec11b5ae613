"""Schedules: each tick is one job, whoever makes it."""

from datetime import datetime
from typing import Any

import asyncpg
import httpx
import pytest

from tests.support.jobs_api import OPERATOR, get
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually


async def put(jobs_url: str, name: str, **fields: Any) -> httpx.Response:
    async with httpx.AsyncClient(headers=OPERATOR) as client:
        return await client.put(
            f"{jobs_url}/v1/schedules/{name}",
            json={"cron": "0 0 1 1 *", "type": "update_statistics", **fields},
        )


async def make_due(stack: RunningStack, name: str, ago: str) -> datetime:
    """Move a schedule's next tick into the past, as if no worker had run since."""
    connection = await asyncpg.connect(stack.environment["POSTGRES_DSN"])
    try:
        found: datetime = await connection.fetchval(
            "UPDATE schedules SET next_at = date_trunc('minute', now()) - $2::text::interval WHERE name = $1 "
            "RETURNING next_at",
            name,
            ago,
        )
        return found
    finally:
        await connection.close()


async def made(stack: RunningStack, name: str) -> list[datetime]:
    connection = await asyncpg.connect(stack.environment["POSTGRES_DSN"])
    try:
        rows = await connection.fetch(
            "SELECT scheduled_at FROM background_jobs WHERE schedule = $1 ORDER BY scheduled_at", name
        )
        return [row["scheduled_at"] for row in rows]
    finally:
        await connection.close()


async def test_a_tick_becomes_one_job_however_often_it_comes(stack: RunningStack, jobs_url: str) -> None:
    name = "twice-told"
    assert (await put(jobs_url, name)).status_code == 200
    tick = await make_due(stack, name, "0 s")

    async def once() -> bool:
        return await made(stack, name) == [tick]

    await eventually(once)
    await make_due(stack, name, "0 s")  # the same tick again, as after a restore of the table

    async def moved_on() -> bool:
        schedules = (await get(f"{jobs_url}/v1/schedules"))["schedules"]
        return any(s["name"] == name and s["next_at"].endswith("-01-01T00:00:00Z") for s in schedules)

    await eventually(moved_on)
    assert len(set(await made(stack, name))) == len(await made(stack, name)) <= 2


async def test_ticks_that_were_missed_become_one_job_or_each_their_own(
    stack: RunningStack, jobs_url: str
) -> None:
    await put(jobs_url, "catches-up", cron="* * * * *", missed="all", enabled=False)
    await put(jobs_url, "goes-on", cron="* * * * *", missed="once", enabled=False)
    for name, missed in (("catches-up", "all"), ("goes-on", "once")):
        await put(jobs_url, name, cron="* * * * *", missed=missed)
        await make_due(stack, name, "5 min")

    async def six() -> bool:
        return len(await made(stack, "catches-up")) >= 6

    await eventually(six)

    async def one() -> bool:
        return len(await made(stack, "goes-on")) >= 1

    await eventually(one)
    assert len(await made(stack, "goes-on")) <= 2  # another minute may have begun by now
    async with httpx.AsyncClient(headers=OPERATOR) as client:
        for name in ("catches-up", "goes-on"):
            assert (await client.delete(f"{jobs_url}/v1/schedules/{name}")).status_code == 204
            assert (await client.delete(f"{jobs_url}/v1/schedules/{name}")).status_code == 404


@pytest.mark.parametrize(
    "wrong", [{"cron": "never"}, {"timezone": "Mars/Olympus"}, {"type": "nothing"}, {"priority": 10}]
)
async def test_what_is_no_schedule_is_refused_in_words(jobs_url: str, wrong: dict[str, Any]) -> None:
    response = await put(jobs_url, "wrong", **wrong)
    assert response.status_code == 422
    assert next(iter(wrong)) in response.json()["detail"]


async def test_schedules_come_with_it_and_only_operators_change_them(jobs_url: str) -> None:
    async def built_in() -> bool:
        names = {s["name"] for s in (await get(f"{jobs_url}/v1/schedules"))["schedules"]}
        return {"cleanup-old-data", "update-statistics"} <= names

    await eventually(built_in)
    async with httpx.AsyncClient() as client:
        url = f"{jobs_url}/v1/schedules/cleanup-old-data"
        assert (await client.delete(url)).status_code == 401
        assert (await client.delete(url, headers=OPERATOR)).status_code == 409


async def test_a_row_that_cannot_tick_is_disabled_and_holds_up_no_other(
    stack: RunningStack, jobs_url: str
) -> None:
    await put(jobs_url, "broken")
    await put(jobs_url, "sound")
    connection = await asyncpg.connect(stack.environment["POSTGRES_DSN"])
    try:
        await connection.execute(
            "UPDATE schedules SET cron = 'broken', next_at = now() - interval '1 day' WHERE name = 'broken'"
        )
    finally:
        await connection.close()
    tick = await make_due(stack, "sound", "0 s")

    async def made_all_the_same() -> bool:
        return await made(stack, "sound") == [tick]

    await eventually(made_all_the_same)

    async def disabled() -> bool:
        schedules = (await get(f"{jobs_url}/v1/schedules"))["schedules"]
        return any(s["name"] == "broken" and not s["enabled"] for s in schedules)

    await eventually(disabled)
