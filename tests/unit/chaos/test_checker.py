"""The checker finds each anomaly, and nothing else."""

from collections.abc import Sequence

from tests.chaos.checker import Down, Row, Stored, check
from tests.chaos.history import Attempt, Item, Protocol, Request

ANSWERED = Attempt(began=1.0, ended=1.1, status=202)


def request(*ids: str, attempts: Sequence[Attempt] = (ANSWERED,), protocol: Protocol = "native") -> Request:
    return Request(protocol, [Item("page_view", id) for id in ids], list(attempts))


def stored(*ids: str, counted: int | None = None) -> Stored:
    rows = [Row("page_view", id, "/ 12:00") for id in ids]
    return Stored(rows, {("page_view", "/ 12:00"): len(ids) if counted is None else counted})


def test_what_is_stored_and_counted_once_is_fine() -> None:
    verdict = check([request("a", "b"), request("c")], stored("a", "b", "c"), [])
    assert verdict.problems() == []
    assert (verdict.acknowledged, verdict.requests) == (3, 2)


def test_an_acknowledged_event_without_a_row_is_lost() -> None:
    verdict = check([request("a", "b")], stored("a"), [])
    assert verdict.lost == ["b"]
    assert verdict.problems() == ["1 acknowledged events lost"]


def test_an_event_of_another_type_with_the_same_id_does_not_stand_in_for_it() -> None:
    there = Stored([Row("error", "a", "f")], {("error", "f"): 1})
    assert check([request("a")], there, []).lost == ["a"]


def test_what_was_not_acknowledged_may_be_there_or_not() -> None:
    refused = Attempt(began=1.0, ended=1.1, status=0, error="refused")
    down = [Down(0.5, 2.0)]
    requests = [request("a", attempts=[refused], protocol="sentry"), request("b")]
    for there in (stored("b"), stored("a", "b")):
        assert check(requests, there, down).problems() == []


def test_two_rows_or_a_count_too_high_are_doubled() -> None:
    assert check([request("a")], stored("a", "a", counted=1), []).doubled == 1
    assert check([request("a")], stored("a", counted=3), []).doubled == 2
    assert (
        check([request("a")], Stored([Row("page_view", "a", "x")], {("page_view", "y"): 1}), []).doubled == 1
    )


def test_a_count_too_low_is_uncounted() -> None:
    verdict = check([request("a", "b")], stored("a", "b", counted=1), [])
    assert verdict.problems() == ["1 stored events not counted"]


def test_a_row_that_nobody_sent_is_invented() -> None:
    assert check([request("a")], stored("a", "z"), []).invented == ["z"]


def test_any_answer_but_success_to_a_sentry_client_is_a_problem_and_a_retried_one_to_others_is_not() -> None:
    busy = Attempt(began=1.0, ended=1.1, status=503)
    native = request("a", attempts=[busy, ANSWERED])
    assert check([native], stored("a"), []).problems() == []
    sentry = request("b", attempts=[busy], protocol="sentry")
    assert check([native, sentry], stored("a"), []).problems() == ["1 answers sentry 503 to Sentry clients"]


def test_a_lost_connection_is_explained_only_while_ingest_was_down() -> None:
    reset = Attempt(began=1.0, ended=1.5, status=0, error="reset")
    requests = [request("a", attempts=[reset, ANSWERED])]
    assert check(requests, stored("a"), [Down(1.4, 3.0)]).problems() == []
    assert check(requests, stored("a"), [Down(1.6, 3.0)]).problems() == [
        "1 attempts reset while ingest was up"
    ]


def test_a_timeout_is_never_explained() -> None:
    slow = Attempt(began=1.0, ended=16.0, status=0, error="timeout")
    requests = [request("a", attempts=[slow, ANSWERED])]
    assert check(requests, stored("a"), [Down(0.0, 20.0)]).unexplained == {"timeout": 1}


def test_a_run_without_traffic_proves_nothing() -> None:
    assert check([], Stored([], {}), []).problems() == ["nothing was acknowledged"]


def test_quantiles_are_of_answers() -> None:
    attempts = [Attempt(began=0.0, ended=number / 100, status=202) for number in range(1, 101)]
    refused = Attempt(began=0.0, ended=9.0, status=0, error="refused")
    verdict = check([request("a", attempts=[refused, *attempts])], stored("a"), [Down(0, 10)])
    assert [verdict.quantile_s(q) for q in (0.5, 0.99, 1.0)] == [0.51, 1.0, 1.0]
    assert verdict.quantile_s(0.5, since=1.0) == 0.0
