"""`/v1/schedules`: jobs that come again by the clock."""

from typing import Annotated, Any

from fastapi import APIRouter, Path, Request, Response
from msgspec import Meta, Struct

from services.jobs.api.services import OperatorDep, ServicesDep, body, listing
from services.jobs.cron import Missed
from services.jobs.schedules import BUILT_IN
from services.jobs.store import schedules
from services.jobs.store.schedules import Schedule
from shared.contracts.jobs import PRIORITY_DEFAULT, JobType, Priority
from shared.errors import Conflict, NotFound
from shared.http import json_response

router = APIRouter(tags=["schedules"])

Name = Annotated[str, Path(pattern="^[a-z0-9][a-z0-9-]{0,62}$")]


class ScheduleBody(Struct, forbid_unknown_fields=True):
    """What comes again, and when."""

    cron: Annotated[str, Meta(max_length=200)]
    type: JobType
    timezone: Annotated[str, Meta(max_length=64)] = "UTC"
    payload: dict[str, Any] = {}
    priority: Priority = PRIORITY_DEFAULT
    missed: Missed = Missed.ONCE
    enabled: bool = True


@router.get("/v1/schedules", summary="Schedules, by name")
async def list_schedules(services: ServicesDep) -> Response:
    return json_response(listing("schedules", await services.ask(schedules.all_of_them)))


@router.put("/v1/schedules/{name}", summary="Add or replace a schedule")
async def put_schedule(services: OperatorDep, request: Request, name: Name) -> Response:
    """`next_at` in the answer is the first tick."""
    wanted = await body(request, ScheduleBody)
    schedule = Schedule(
        name=name,
        cron=wanted.cron,
        type=wanted.type,
        timezone=wanted.timezone,
        payload=wanted.payload,
        priority=wanted.priority,
        missed=wanted.missed,
        enabled=wanted.enabled,
    )
    return json_response(await services.ask(lambda c: schedules.put(c, schedule)))


@router.delete("/v1/schedules/{name}", summary="Remove a schedule", status_code=204)
async def delete_schedule(services: OperatorDep, name: Name) -> Response:
    """Jobs that it made stay. One that comes with signalbox can only be disabled: it would be added again."""
    if name in {schedule.name for schedule in BUILT_IN}:
        raise Conflict(f"{name} comes with signalbox: put it with `enabled: false` instead.")
    if not await services.ask(lambda c: schedules.remove(c, name)):
        raise NotFound(f"There is no schedule {name}.")
    return Response(status_code=204)
