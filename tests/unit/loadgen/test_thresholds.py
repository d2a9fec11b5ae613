"""The grammar of `--fail-on`, and what it makes of a result."""

from contextlib import suppress
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loadgen.thresholds import BadThreshold, missed, parse
from shared.contracts.load_tests import Latency, LoadTestResult, rate_p95


def _result(*, requests: int = 1000, failures: int = 0, p95_ms: float = 180.0) -> LoadTestResult:
    return LoadTestResult(
        id="1",
        scenario="light",
        target="http://127.0.0.1:8001",
        started_at=datetime(2026, 11, 1, tzinfo=UTC),
        duration_s=10.0,
        users=50,
        requests=requests,
        failures=failures,
        success_rate=0.0,
        rate_rps=requests / 10,
        latency_ms=Latency(min=1, avg=50, max=900, p50=40, p95=p95_ms, p99=400),
        endpoints=[],
        errors={},
        rating=rate_p95(p95_ms),
    )


def _missed(text: str, result: LoadTestResult) -> list[str]:
    return [str(miss) for miss in missed(parse(text), result)]


@pytest.mark.parametrize(
    "text", ["p95<200ms", "p95<0.2s", "p50<=40ms,p99<.5s, max<1s", "errors<1%", "rps>=100", "avg > 10 ms"]
)
def test_conditions_that_hold_miss_nothing(text: str) -> None:
    assert _missed(text, _result()) == []


def test_a_missed_condition_says_what_was_measured() -> None:
    assert _missed("p95<100ms,errors<1%,rps>500", _result(failures=20)) == [
        "p95<100ms (was 180.0 ms)",
        "errors<1% (was 2.00%)",
        "rps>500 (was 100.0)",
    ]


def test_the_limit_itself_is_on_the_side_that_the_sign_says() -> None:
    result = _result(p95_ms=200.0)
    assert _missed("p95<=200ms", result) == []
    assert _missed("p95<200ms", result) == ["p95<200ms (was 200.0 ms)"]


def test_nothing_measured_meets_nothing() -> None:
    assert _missed("errors<1%", _result(requests=0)) == ["errors<1% (nothing was measured)"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "is not a condition"),
        ("p95<200ms,", "is not a condition"),
        ("p95", "is not a condition"),
        ("p95=200ms", "is not a condition"),
        ("p95<-1ms", "is not a condition"),
        ("p95<200ms errors<1%", "is not a condition"),
        ("p42<200ms", "p42 is not one of p50, p95"),
        ("p95<200", "a latency is in ms or s, such as p95<200ms"),
        ("p95<200%", "a latency is in ms or s"),
        ("errors<1", "such as errors<1%"),
        ("rps>100/s", "rps has no unit"),
    ],
)
def test_a_condition_that_cannot_be_read_says_what_would_be_right(text: str, said: str) -> None:
    with pytest.raises(BadThreshold, match=said):
        parse(text)


@given(
    metric=st.sampled_from(["p50", "p95", "p99", "avg", "max"]),
    comparison=st.sampled_from(["<", "<=", ">", ">="]),
    milliseconds=st.integers(min_value=0, max_value=10**6),
)
def test_milliseconds_and_seconds_mean_the_same(metric: str, comparison: str, milliseconds: int) -> None:
    in_ms, in_s = parse(f"{metric}{comparison}{milliseconds}ms,{metric}{comparison}{milliseconds / 1000:f}s")
    assert in_ms.limit == pytest.approx(in_s.limit)


@given(text=st.text(max_size=30))
def test_any_text_is_read_or_refused(text: str) -> None:
    with suppress(BadThreshold):
        parse(text)
