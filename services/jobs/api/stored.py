"""What the stream processor stored: vitals, issues, page views, events and load tests."""

from enum import StrEnum
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Path, Query, Response

from services.jobs.api.services import Limit, OperatorDep, ServicesDep, SpanDep, listing
from services.jobs.store import issues, load_tests, traffic, vitals
from services.jobs.store.issues import IssueState
from shared.errors import NotFound
from shared.http import json_response

router = APIRouter(tags=["stored"])

_EVENTS_MAX = 20


class Decision(StrEnum):
    """What somebody decides about an issue."""

    RESOLVE = "resolve"
    IGNORE = "ignore"
    REOPEN = "reopen"


_STATES = {
    Decision.RESOLVE: IssueState.RESOLVED,
    Decision.IGNORE: IssueState.IGNORED,
    Decision.REOPEN: IssueState.OPEN,
}


@router.get("/v1/vitals", summary="Web vitals and metrics of a span, merged")
async def list_vitals(
    services: ServicesDep,
    span: SpanDep,
    metric: str | None = None,
    page: str | None = None,
    device: str | None = None,
    by: Annotated[
        str, Query(pattern="^(page|metric)$", description="`page` splits each metric by page.")
    ] = "metric",
) -> Response:
    found = await services.ask(
        lambda c: vitals.summaries(
            c,
            project=services.settings.project,
            start=span.start,
            end=span.end,
            metric=metric,
            page=page,
            device=device,
            by_page=by == "page",
        )
    )
    return json_response({"from": span.start, "to": span.end, "vitals": found})


@router.get("/v1/issues", summary="Issues, the one seen last first")
async def list_issues(services: ServicesDep, state: IssueState | None = None, limit: Limit = 50) -> Response:
    found = await services.ask(
        lambda c: issues.newest(c, project=services.settings.project, state=state, limit=limit)
    )
    return json_response(listing("issues", found))


@router.get("/v1/issues/{id}", summary="One issue with its newest events")
async def issue(services: ServicesDep, id: Annotated[UUID, Path()]) -> Response:
    project = services.settings.project
    found = await services.ask(
        lambda c: issues.detail(c, project=project, id=str(id), events_max=_EVENTS_MAX)
    )
    if found is None:
        raise NotFound(f"There is no issue {id}.")
    return json_response(found)


@router.post("/v1/issues/{id}/{decision}", summary="Resolve, ignore or reopen an issue")
async def decide(services: OperatorDep, id: Annotated[UUID, Path()], decision: Decision) -> Response:
    """A resolved issue comes back, as `regressed`, with the next event that occurs after this."""
    project = services.settings.project
    if not await services.ask(
        lambda c: issues.decide(c, project=project, id=str(id), state=_STATES[decision])
    ):
        raise NotFound(f"There is no issue {id}.")
    return json_response(
        await services.ask(lambda c: issues.detail(c, project=project, id=str(id), events_max=_EVENTS_MAX))
    )


@router.get("/v1/page-views", summary="Page views of a span by page, most first")
async def list_page_views(services: ServicesDep, span: SpanDep) -> Response:
    project = services.settings.project
    found = await services.ask(
        lambda c: traffic.page_views(c, project=project, start=span.start, end=span.end)
    )
    return json_response({"from": span.start, "to": span.end, "page_views": found})


@router.get("/v1/events", summary="Events of a span by name, most first")
async def list_events(services: ServicesDep, span: SpanDep) -> Response:
    project = services.settings.project
    found = await services.ask(
        lambda c: traffic.custom_events(c, project=project, start=span.start, end=span.end)
    )
    return json_response({"from": span.start, "to": span.end, "events": found})


@router.get("/v1/load-tests", summary="Load tests, newest first")
async def list_load_tests(services: ServicesDep, limit: Limit = 20) -> Response:
    return json_response(listing("load_tests", await services.ask(lambda c: load_tests.newest(c, limit))))
