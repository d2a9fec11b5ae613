"""`/v1/jobs`: look at jobs, call them off, run them again."""

from http import HTTPStatus
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Response

from services.jobs.api.services import Limit, OperatorDep, Services, ServicesDep, listing
from services.jobs.store import jobs
from services.jobs.store.jobs import Job
from shared.contracts.jobs import JobStatus, JobType
from shared.errors import Conflict, NotFound
from shared.http import json_response

router = APIRouter(tags=["jobs"])

JobPath = Annotated[UUID, Path(alias="id")]


@router.get("/v1/jobs", summary="Jobs, newest first")
async def list_jobs(
    services: ServicesDep, status: JobStatus | None = None, type: JobType | None = None, limit: Limit = 50
) -> Response:
    found = await services.ask(lambda c: jobs.newest(c, status=status, type=type, limit=limit))
    return json_response(listing("jobs", found))


@router.get("/v1/jobs/stats", summary="Jobs by state and type")
async def job_stats(services: ServicesDep) -> Response:
    return json_response(await services.ask(jobs.stats))


@router.get("/v1/jobs/{id}", summary="One job")
async def job(services: ServicesDep, id: JobPath) -> Response:
    return json_response(await find(services, str(id)))


@router.post("/v1/jobs/{id}/cancel", summary="Call a job off")
async def cancel(services: OperatorDep, id: JobPath) -> Response:
    if not await services.ask(lambda c: jobs.cancel(c, str(id))):
        found = await find(services, str(id))
        raise Conflict(f"The job is {found.status.value}; only one that has not ended can be cancelled.")
    return json_response(await find(services, str(id)))


@router.post(
    "/v1/jobs/{id}/retry", summary="Run a failed or cancelled job again", status_code=HTTPStatus.ACCEPTED
)
async def retry(services: OperatorDep, id: JobPath) -> Response:
    hints = await services.ask(lambda c: jobs.run_again(c, [str(id)]))
    if not hints:
        found = await find(services, str(id))
        raise Conflict(f"The job is {found.status.value}; only a failed or cancelled one can be run again.")
    await services.publisher.hint(hints)
    return json_response(await find(services, str(id)), HTTPStatus.ACCEPTED)


async def find(services: Services, id: str) -> Job:
    """Raises NotFound. A job that was just asked for appears once its request has been taken in."""
    found = await services.ask(lambda c: jobs.get(c, id))
    if found is None:
        raise NotFound(f"There is no job {id}, or its request has not been taken in yet.")
    return found
