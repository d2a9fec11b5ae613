"""Tells what a run measured: to people on a terminal, to people in a file, and to programs."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from services.loadgen.generator import Health
from shared.contracts.load_tests import Latency, LoadRating, LoadTestResult

_COLOURS = {
    LoadRating.EXCELLENT: "green",
    LoadRating.GOOD: "green",
    LoadRating.FAIR: "yellow",
    LoadRating.POOR: "red",
}
_HOW = "latencies in ms, from the intended start of each request to the end of its answer"
_COLUMNS = ("Endpoint", "Requests", "Failed", "Min", "Avg", "P50", "P95", "P99", "Max")


@dataclass(frozen=True, slots=True)
class Report:
    """A run's outcome, with what one must know to believe it."""

    result: LoadTestResult
    health: Health
    #: Why the generator, not the target, set the numbers; empty when it did not.
    bottleneck: str
    #: Requests that the target answered at all.
    answered: int
    #: Steps of the journey that were not taken, and why.
    left_out: Sequence[str]
    #: The open model's rate; None is the closed model.
    rate_rps: float | None
    seed: int
    #: Somebody stopped it before its time.
    interrupted: bool
    #: The conditions of `--fail-on`.
    judged: Sequence[str]


def show(report: Report, console: Console) -> None:
    """The final table and the verdict."""
    console.print(Text(_heading(report), style="bold"), soft_wrap=True)
    table = Table(box=box.SIMPLE, padding=0, collapse_padding=True)  # fits into 80 columns
    for column in _COLUMNS:
        table.add_column(
            column, justify="left" if column == "Endpoint" else "right", no_wrap=True, min_width=6
        )
    rows = _rows(report.result)
    for row in rows[:-1]:
        table.add_row(*row)
    table.add_section()
    table.add_row(*rows[-1], style="bold")
    console.print(table)
    for line in (_HOW, *_summary(report)):
        console.print(Text(line), soft_wrap=True)
    console.print(Text(_rating(report), style=_COLOURS[report.result.rating]), soft_wrap=True)
    for line in _verdict(report):
        console.print(Text(line, style="bold"), soft_wrap=True)


def to_json(report: Report) -> bytes:
    """The LoadTestResult, indented for people."""
    return msgspec.json.format(msgspec.json.encode(report.result), indent=2) + b"\n"


def write(report: Report, folder: Path) -> None:
    """`result.json` and `report.md`, in a folder that exists."""
    (folder / "result.json").write_bytes(to_json(report))
    (folder / "report.md").write_text(_markdown(report), encoding="utf-8")


def _heading(report: Report) -> str:
    result = report.result
    model = f"{report.rate_rps:g} requests/s" if report.rate_rps is not None else f"{result.users} users"
    return f"{result.scenario}: {model} for {result.duration_s:.0f} s against {result.target}"


def _rows(result: LoadTestResult) -> list[tuple[str, ...]]:
    """The endpoints, and all of them together."""
    rows = [_row(e.name, e.requests, e.failures, e.latency_ms) for e in result.endpoints]
    return [*rows, _row("all", result.requests, result.failures, result.latency_ms)]


def _row(name: str, requests: int, failures: int, latency: Latency) -> tuple[str, ...]:
    values = (latency.min, latency.avg, latency.p50, latency.p95, latency.p99, latency.max)
    return (name, str(requests), str(failures), *(_shown(value) for value in values))


def _shown(value_ms: float) -> str:
    return f"{value_ms:.1f}" if value_ms < 100 else f"{value_ms:.0f}"


def _summary(report: Report) -> list[str]:
    result, health = report.result, report.health
    share, rate = f"{result.success_rate:.2%} successful", f"{result.rate_rps:.1f} requests/s"
    lines = [f"{result.requests} requests, {share}, {rate}, seed {report.seed}"]
    if result.errors:
        lines.append("failures: " + ", ".join(f"{kind} {count}" for kind, count in result.errors.items()))
    lines += [f"left out: {step}" for step in report.left_out]
    lines.append(
        f"generator: late by {health.lateness_ms.p95:.1f} ms (P95) and {health.lateness_ms.max:.1f} ms (max), event "
        f"loop lag {health.loop_lag_ms.p95:.1f} ms (P95), busy {health.busy:.0%}"
    )
    if report.interrupted:
        lines.append(f"interrupted after {result.duration_s:.1f} s: this is what was measured until then")
    return lines


def _rating(report: Report) -> str:
    result = report.result
    if result.requests == 0:
        return "rating: none, nothing was measured"
    rating = f"rating: {result.rating} (P95 {result.latency_ms.p95:.1f} ms)"
    if result.failures:
        rating += f", but {1 - result.success_rate:.2%} of the requests failed"
    return rating


def _verdict(report: Report) -> list[str]:
    """What decides the exit status, the worst first."""
    lines = []
    if report.bottleneck:
        lines.append(f"do not believe these numbers: {report.bottleneck}")
    lines += [f"missed: {condition}" for condition in report.result.thresholds_missed]
    if report.judged and not report.result.thresholds_missed:
        lines.append(f"met: {', '.join(report.judged)}")
    return lines


def _markdown(report: Report) -> str:
    result = report.result
    lines = [
        f"# Load test: {_heading(report)}",
        "",
        f"Started {result.started_at.isoformat(timespec='seconds')}, run {result.id}.",
        "",
        f"**{_rating(report)}**",
        "",
        *(f"- {line}" for line in (*_verdict(report), *_summary(report))),
        "",
        f"{_HOW}.",
        "",
        "| " + " | ".join(_COLUMNS) + " |",
        "|---|" + "---:|" * (len(_COLUMNS) - 1),
        *("| " + " | ".join(row) + " |" for row in _rows(result)),
    ]
    return "\n".join(lines) + "\n"
