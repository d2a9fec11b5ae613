"""`/v1/dead-letters`: jobs that gave up, and how to run them again."""

from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Request, Response
from msgspec import Meta, Struct

from services.jobs.api.services import Limit, OperatorDep, ServicesDep, body, listing
from services.jobs.store import jobs
from shared.contracts.events import Uuid
from shared.contracts.jobs import JobStatus, JobType
from shared.http import json_response

router = APIRouter(tags=["dead letters"])


class Replay(Struct, forbid_unknown_fields=True):
    """Which jobs to run again."""

    ids: Annotated[list[Uuid], Meta(min_length=1, max_length=1000)]


@router.get("/v1/dead-letters", summary="Jobs that gave up, newest first")
async def list_dead(services: ServicesDep, type: JobType | None = None, limit: Limit = 50) -> Response:
    found = await services.ask(lambda c: jobs.newest(c, status=JobStatus.FAILED, type=type, limit=limit))
    return json_response(listing("dead_letters", found))


@router.post("/v1/dead-letters/replay", summary="Run them again", status_code=HTTPStatus.ACCEPTED)
async def replay(services: OperatorDep, request: Request) -> Response:
    """Jobs that are not failed are left alone; the answer says which were replayed."""
    wanted = await body(request, Replay)
    hints = await services.ask(lambda c: jobs.run_again(c, wanted.ids))
    await services.publisher.hint(hints)
    return json_response({"replayed": [hint.id for hint in hints]}, HTTPStatus.ACCEPTED)
