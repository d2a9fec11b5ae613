"""`generate_report`: what happened in a span, kept in the table `reports`."""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import Meta, Struct

from services.jobs.handlers.contract import Context, Handler
from services.jobs.retry import RetryPolicy
from services.jobs.store import effects, issues, traffic, vitals

_ISSUES_MAX = 100


class Report(Struct, forbid_unknown_fields=True):
    """Which report, and the hours before `until` (now, when absent) that it covers."""

    kind: Literal["performance", "errors", "traffic", "full"] = "full"
    hours: Annotated[int, Meta(ge=1, le=24 * 400)] = 24
    until: Annotated[datetime, Meta(tz=True)] | None = None


async def work(report: Report, context: Context) -> dict[str, Any]:
    """Build the report in one transaction, so that its parts agree."""
    end = report.until or datetime.now(UTC)
    start = end - timedelta(hours=report.hours)
    content: dict[str, Any] = {}
    async with context.tools.database.transaction() as connection:
        if report.kind in ("performance", "full"):
            content["vitals"] = await vitals.summaries(
                connection,
                project=context.project,
                start=start,
                end=end,
                metric=None,
                page=None,
                device=None,
                by_page=True,
            )
        if report.kind in ("errors", "full"):
            content["issues"] = await issues.newest(
                connection, project=context.project, state=None, limit=_ISSUES_MAX
            )
        if report.kind in ("traffic", "full"):
            content["page_views"] = await traffic.page_views(
                connection, project=context.project, start=start, end=end
            )
            content["events"] = await traffic.custom_events(
                connection, project=context.project, start=start, end=end
            )
        await effects.save_report(
            connection,
            job_id=context.job_id,
            project=context.project,
            kind=report.kind,
            start=start,
            end=end,
            content=content,
        )
    rows = {part: len(value) for part, value in content.items()}
    return {"report": context.job_id, "rows": rows, "bytes": len(msgspec.json.encode(content))}


HANDLER = Handler(Report, work, RetryPolicy(timeout_s=120.0))
