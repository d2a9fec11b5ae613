"""`/background-jobs?action=`: the one-address form of the jobs API, for producers that know only that."""

from datetime import datetime
from enum import StrEnum
from http import HTTPStatus
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request, Response
from msgspec import Meta, Struct

from services.jobs.api.jobs import find
from services.jobs.api.services import OperatorDep, Services, ServicesDep, body, operator
from services.jobs.handlers import MAX_ATTEMPTS
from services.jobs.store import jobs
from services.jobs.store.database import Connection
from services.jobs.store.jobs import ClaimedJob
from shared.contracts.jobs import PRIORITY_DEFAULT, JobRequest, JobType, Priority
from shared.errors import Invalid
from shared.http import json_response
from shared.ids import derived_id, new_id

router = APIRouter(tags=["background-jobs"])


class ReadAction(StrEnum):
    """What a GET does."""

    PROCESS = "process"
    STATUS = "status"
    STATS = "stats"


class WriteAction(StrEnum):
    """What a POST does."""

    ENQUEUE = "enqueue"


class Enqueue(Struct, forbid_unknown_fields=True):
    """A job to be run."""

    type: JobType
    payload: dict[str, Any] = {}
    priority: Priority = PRIORITY_DEFAULT
    scheduled_at: Annotated[datetime, Meta(tz=True)] | None = None
    max_attempts: Annotated[int, Meta(ge=1, le=25)] | None = None


@router.post("/background-jobs", summary="Enqueue a job", status_code=HTTPStatus.ACCEPTED)
async def write(services: OperatorDep, request: Request, action: WriteAction) -> Response:
    """The row is the durable request; the same `Idempotency-Key` is the same job."""
    wanted = await body(request, Enqueue)
    key = request.headers.get("idempotency-key")
    project = services.settings.project
    job = JobRequest(
        id=derived_id("job", project, key) if key else new_id(),
        type=wanted.type,
        payload=wanted.payload,
        priority=wanted.priority,
        scheduled_at=wanted.scheduled_at,
        max_attempts=wanted.max_attempts,
        project=project,
    )
    hints = await services.ask(lambda c: jobs.insert(c, [job], MAX_ATTEMPTS))
    await services.publisher.hint(hints)
    return json_response({"id": job.id}, HTTPStatus.ACCEPTED)


@router.get("/background-jobs", summary="Process, status or stats")
async def read(
    services: ServicesDep,
    request: Request,
    action: ReadAction,
    id: UUID | None = None,
    batch: Annotated[int, Query(ge=1, le=100)] = 10,
) -> Response:
    match action:
        case ReadAction.STATS:
            return json_response(await services.ask(jobs.stats))
        case ReadAction.STATUS:
            if id is None:
                raise Invalid("`action=status` needs `id`.")
            return json_response(await find(services, str(id)))
        case ReadAction.PROCESS:
            return json_response(await _process(operator(request), batch))


async def _process(services: Services, batch: int) -> dict[str, Any]:
    """Run up to `batch` due jobs now, highest priority first, and say what became of each."""
    settings = services.settings

    async def claim_due(connection: Connection) -> list[ClaimedJob]:
        ids = await jobs.next_due(connection, batch)
        return await jobs.claim(
            connection, ids, owner=settings.jobs_worker_name, lease_s=settings.jobs_lease_s
        )

    processed = []
    for claimed in await services.ask(claim_due):
        await services.runner.run(claimed)
        job = await find(services, claimed.id)
        processed.append({"id": job.id, "type": job.type, "status": job.status, "error": job.error})
    return {"processed": len(processed), "jobs": processed}
