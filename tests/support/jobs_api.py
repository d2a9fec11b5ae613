"""The jobs API as a caller uses it."""

from typing import Any

import httpx

from shared.contracts.jobs import JobType
from tests.support.stacks import SECRET_KEY
from tests.support.waiting import eventually

OPERATOR = {"Authorization": f"Bearer {SECRET_KEY}"}


async def get(url: str, **query: str) -> Any:
    """The JSON of a GET that succeeds."""
    async with httpx.AsyncClient() as client:
        response = await client.get(url, params=query)
    assert response.status_code == 200, response.text
    return response.json()


async def enqueue(jobs_url: str, type: JobType, payload: dict[str, Any], **fields: Any) -> str:
    """The id of a job that was accepted."""
    async with httpx.AsyncClient(headers=OPERATOR) as client:
        response = await client.post(
            f"{jobs_url}/background-jobs?action=enqueue", json={"type": type, "payload": payload, **fields}
        )
    assert response.status_code == 202, response.text
    return str(response.json()["id"])


async def job(jobs_url: str, id: str, *statuses: str) -> dict[str, Any]:
    """The job, once it is in one of the states."""

    async def look() -> dict[str, Any] | None:
        async with httpx.AsyncClient() as client:
            response = await client.get(f"{jobs_url}/v1/jobs/{id}")
        found = response.json() if response.status_code == 200 else None
        return found if found is not None and found["status"] in statuses else None

    return await eventually(look)
