"""The file and the table have what the contract names; the replay's speed comes from samples."""

import json
from dataclasses import replace
from pathlib import Path

from tests.chaos.report import Case, Report
from tests.chaos.watch import Sample, replay_rate

GOOD = Case("ingest: Kafka away", 9_000, 0, 0, 0, 31.5, True, figures={"replay_ratio": 45.4, "refusals": {}})
BAD = Case("ingest: kills", 9_000, 2, 1, 0, 32.0, False, problems=["2 acknowledged events lost"])


def sample(at: float, spool: int, replayed: int, *, pid: int = 1, breaker: int = 0) -> Sample:
    return Sample(at, pid, spool * 100, spool, breaker, 1_000, replayed, 0)


def test_the_file_is_the_contracts(tmp_path: Path) -> None:
    Report(1, True, [GOOD]).write(tmp_path / "state" / "chaos.json")
    document = json.loads((tmp_path / "state" / "chaos.json").read_text())
    assert document["name"] == "chaos"
    wanted = {"case", "acknowledged", "lost", "doubled", "stale", "seconds", "passed"}
    assert wanted <= document["cases"][0].keys()


def test_one_case_that_did_not_pass_is_a_run_that_did_not() -> None:
    assert Report(1, True, [GOOD]).passed
    assert not Report(1, True, [GOOD, BAD]).passed
    assert not Report(1, True, []).passed


def test_the_table_says_why() -> None:
    table = Report(1, True, [GOOD, BAD]).table()
    assert "NOT AS PROMISED: 2 acknowledged events lost" in table
    assert "replay ratio: 45.4" in table


def test_a_replay_lasts_from_the_sample_before_it_to_the_first_without_a_backlog() -> None:
    samples = [
        sample(0, 500, 0, breaker=2),
        sample(1, 1_000, 0, breaker=2),
        sample(2, 400, 600),
        sample(3, 0, 1_000),
    ]
    assert replay_rate([*samples, sample(9, 0, 1_000)]) == 500


def test_a_replay_that_another_process_ended_has_no_rate() -> None:
    samples = [sample(0, 1_000, 0), sample(1, 400, 600), sample(2, 0, 400, pid=2)]
    assert replay_rate(samples) == 0
    assert replay_rate([replace(samples[0])]) == 0
