"""What the demo did, as a table for people, and as a list of what did not do its work."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console
from rich.table import Table

from deploy.demo.cache import CacheOutcome
from shared.contracts.jobs import JobType
from shared.contracts.load_tests import LoadTestResult
from shared.contracts.vitals import rate

CORE_VITALS = ("LCP", "INP", "CLS", "FCP", "TTFB")


@dataclass(frozen=True)
class Outcome:
    """Everything that was seen."""

    accepted: Mapping[str, int]
    stored: Mapping[str, int]
    vitals: Sequence[Mapping[str, Any]]
    issues: Sequence[Mapping[str, Any]]
    jobs: Mapping[str, int]
    completed_by_type: Mapping[str, int]
    retried: Mapping[str, Any]
    dead: Mapping[str, Any]
    cache: CacheOutcome
    load_status: int
    load: LoadTestResult | None
    #: Chromium's path, or None where there is none.
    browser: str | None
    browser_errors: int
    #: Issues that came through Sentry's SDK.
    sentry_errors: int
    console: str


def failures(outcome: Outcome) -> list[str]:
    """What did not do its work, a sentence each; none when all did."""
    wrong = [
        f"{kind}: {count} accepted, {outcome.stored[kind]} stored"
        for kind, count in outcome.accepted.items()
        if count == 0 or count != outcome.stored[kind]
    ]
    measured = {vital["metric"] for vital in outcome.vitals if vital["count"]}
    wrong += [f"no p75 for {name}" for name in CORE_VITALS if name not in measured]
    if not outcome.issues:
        wrong.append("no issue was opened")
    wrong += [
        f"no {type.value} job was completed" for type in JobType if not outcome.completed_by_type.get(type)
    ]
    if outcome.retried["status"] != "completed" or outcome.retried["attempts"] < 2:
        wrong.append(f"the job to be retried is {outcome.retried['status']}")
    if outcome.dead["status"] != "failed":
        wrong.append(f"the job to be dead-lettered is {outcome.dead['status']}")
    if (outcome.cache.first, outcome.cache.second) != ("MISS", "HIT"):
        wrong.append(f"the cache answered {outcome.cache.first}, then {outcome.cache.second}")
    if outcome.cache.replicas_fresh != outcome.cache.replicas or outcome.cache.replicas < 2:
        wrong.append(
            f"{outcome.cache.replicas_fresh} of {outcome.cache.replicas} replicas dropped a changed key"
        )
    if outcome.load is None or outcome.load_status != 0:
        wrong.append(f"the load test ended with status {outcome.load_status}")
    if outcome.browser is not None and not outcome.browser_errors:
        wrong.append("no error of the browser became an issue")
    if not outcome.sentry_errors:
        wrong.append("no error of Sentry's SDK became an issue")
    return wrong


def show(outcome: Outcome, console: Console) -> None:
    """Print the summary."""
    table = Table(title="signalbox demo", show_header=False, title_justify="left")
    table.add_column(style="bold")
    table.add_column()
    for kind, count in outcome.accepted.items():
        table.add_row(kind, f"{count} accepted, {outcome.stored[kind]} stored")
    table.add_section()
    for vital in outcome.vitals:
        if vital["metric"] in CORE_VITALS:
            table.add_row(f"{vital['metric']} p75", _vital(vital))
    table.add_row(
        "issues", f"{len(outcome.issues)}, such as: {outcome.issues[0]['title']}" if outcome.issues else "0"
    )
    table.add_section()
    table.add_row("jobs", ", ".join(f"{count} {status}" for status, count in outcome.jobs.items() if count))
    table.add_row("types completed", ", ".join(sorted(outcome.completed_by_type)))
    table.add_row("retried", f"{outcome.retried['status']} at attempt {outcome.retried['attempts']}")
    table.add_row("dead-lettered", str(outcome.dead["error"]))
    table.add_section()
    cache = outcome.cache
    table.add_row("cache", f"{cache.first}, then {cache.second}; {cache.hit_rate:.0%} hits")
    table.add_row(
        "invalidation", f"dropped by {cache.replicas_fresh} of {cache.replicas} replicas at one change"
    )
    table.add_row("load test", _load(outcome.load))
    table.add_row("Sentry's SDK", f"{outcome.sentry_errors} issue")
    table.add_row("browser", outcome.browser or "no Chromium here: its part was left out")
    console.print(table)
    console.print(f"console: {outcome.console}/")


def _vital(vital: Mapping[str, Any]) -> str:
    value = f"{vital['p75']:.3f}" if vital["metric"] == "CLS" else f"{vital['p75']:.0f} ms"
    rating = rate(vital["metric"], vital["p75"])
    return f"{value}, {rating.replace('_', ' ') if rating else 'unrated'} ({vital['count']} samples)"


def _load(load: LoadTestResult | None) -> str:
    if load is None:
        return "gave no result"
    return (
        f"light: {load.rating.value}, P95 {load.latency_ms.p95:.0f} ms, {load.rate_rps:.0f} requests/s, "
        f"{load.success_rate:.2%} of {load.requests} succeeded"
    )
