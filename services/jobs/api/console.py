"""`/`: the console's first page, rendered on the server; it needs no script and no network."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Response
from jinja2 import Environment, FileSystemLoader, select_autoescape

from services.jobs.api.services import ServicesDep
from services.jobs.store import issues, jobs, load_tests, traffic, vitals
from services.jobs.store.database import Connection
from shared.contracts.vitals import THRESHOLDS, rate

router = APIRouter(include_in_schema=False)

_PAGES = Environment(
    loader=FileSystemLoader(Path(__file__).parent.parent / "console" / "templates"),
    autoescape=select_autoescape(default=True),
    trim_blocks=True,
    lstrip_blocks=True,
)
#: Everything shown was sent by somebody: nothing may run, and nothing is loaded from elsewhere.
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
_ROWS_MAX = 10


@router.get("/")
async def overview(services: ServicesDep) -> Response:
    """Is all well? The last day at a glance."""
    project = services.settings.project
    end = datetime.now(UTC) + timedelta(minutes=3)
    start = end - timedelta(days=1)

    async def look(connection: Connection) -> dict[str, Any]:
        measured = await vitals.summaries(
            connection,
            project=project,
            start=start,
            end=end,
            metric=None,
            page=None,
            device=None,
            by_page=False,
        )
        return {
            "vitals": [
                {"metric": v.metric, "p75": v.p75, "count": v.count, "rating": rate(v.metric, v.p75)}
                for v in measured
                if v.metric in THRESHOLDS
            ],
            "issues": await issues.newest(connection, project=project, state=None, limit=_ROWS_MAX),
            "jobs": await jobs.stats(connection),
            "page_views": (await traffic.page_views(connection, project=project, start=start, end=end))[
                :_ROWS_MAX
            ],
            "events": (await traffic.custom_events(connection, project=project, start=start, end=end))[
                :_ROWS_MAX
            ],
            "load_tests": await load_tests.newest(connection, 3),
        }

    page = _PAGES.get_template("overview.html").render(await services.ask(look), now=datetime.now(UTC))
    return Response(page, media_type="text/html", headers=_HEADERS)
