"""A benchmark's result: medians, ratios of which higher is better, and nothing left out silently."""

import json
from pathlib import Path

from bench.report import Case, Measured, Report

OURS = [Measured(rate, cpu_us, p99_ms=2.0) for rate, cpu_us in ((90.0, 30.0), (110.0, 20.0), (100.0, 25.0))]
THEIRS = [Measured(rate, 50.0) for rate in (40.0, 50.0, 60.0)]


def report() -> Report:
    report = Report("ingest", runs=3, versions={"uvicorn": "0.54.0"})
    report.add(Case.of("single_vs_bare_204", OURS, "bare", THEIRS, "requests/s"))
    report.add(Case.of("single_vs_go", OURS, "go", THEIRS, "requests/s"), ratio=False)
    report.missing["node"] = "npm is not installed"
    return report


def test_ratios_are_of_medians_and_higher_is_better() -> None:
    case = Case.of("single_vs_bare_204", OURS, "bare", THEIRS, "requests/s")
    assert (case.us, case.min, case.max, case.peer_median, case.ratio) == (100.0, 90.0, 110.0, 50.0, 2.0)
    assert (case.cpu_us, case.peer_cpu_us, case.cpu_ratio) == (25.0, 50.0, 2.0)


def test_what_is_written_is_json_that_everybody_reads(tmp_path: Path) -> None:
    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    document = json.loads(report().write(tmp_path).read_text(), parse_constant=no_constant)
    assert {"name", "at", "machine", "versions", "runs", "cases", "ratios", "missing"} == set(document)
    assert document["ratios"] == {"single_vs_bare_204": 2.0}
    assert document["missing"] == {"node": "npm is not installed"}
    assert document["cases"][0]["peer_p99_ms"] is None


def test_the_table_says_the_same() -> None:
    table = report().table()
    assert "single_vs_bare_204" in table
    assert "missing: node: npm is not installed" in table
