"""Samples add up, and failures stay in sight."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loadgen.stats import Run, Sample, Stats
from shared.contracts.load_tests import LoadRating, LoadTestResult

_RUN = Run("id", "light", "http://127.0.0.1:8001", datetime(2026, 11, 1, tzinfo=UTC), 50, 10.0)

_SAMPLES = st.lists(
    st.builds(
        Sample,
        endpoint=st.sampled_from(["POST /v1/events", "POST /v1/jobs", "GET /v1/jobs/{id}"]),
        latency_s=st.floats(min_value=0, max_value=20),
        lateness_s=st.floats(min_value=0, max_value=0.1),
        failure=st.sampled_from(["", "", "timeout", "status 500"]),
        answered=st.booleans(),
    ),
    max_size=100,
)


def _result(*samples: Sample) -> LoadTestResult:
    stats = Stats()
    for sample in samples:
        stats.record(sample)
    return stats.result(_RUN)


def _sample(latency_ms: float, failure: str = "") -> Sample:
    return Sample("POST /v1/events", latency_ms / 1e3, 0.0, failure, answered=True)


@given(samples=_SAMPLES)
def test_endpoints_and_errors_add_up_to_the_whole(samples: list[Sample]) -> None:
    result = _result(*samples)
    assert result.requests == len(samples) == sum(endpoint.requests for endpoint in result.endpoints)
    assert result.failures == sum(e.failures for e in result.endpoints) == sum(result.errors.values())
    assert result.rate_rps == pytest.approx(len(samples) / 10)
    assert 0 <= result.success_rate <= 1
    if result.endpoints:
        assert result.latency_ms.max == max(endpoint.latency_ms.max for endpoint in result.endpoints)
        assert result.latency_ms.min == min(endpoint.latency_ms.min for endpoint in result.endpoints)


@pytest.mark.parametrize(
    ("p95_ms", "rating"),
    [
        (199.0, LoadRating.EXCELLENT),
        (201.0, LoadRating.GOOD),
        (499.0, LoadRating.GOOD),
        (501.0, LoadRating.FAIR),
        (999.0, LoadRating.FAIR),
        (1001.0, LoadRating.POOR),
    ],
)
def test_the_rating_follows_the_95th_percentile(p95_ms: float, rating: LoadRating) -> None:
    fast, slow = [_sample(1.0)] * 90, [_sample(p95_ms)] * 10
    assert _result(*fast, *slow).rating is rating


def test_timeouts_are_in_the_percentiles() -> None:
    result = _result(*[_sample(10.0)] * 90, *[_sample(10_000.0, "timeout")] * 10)
    assert result.latency_ms.p95 == pytest.approx(10_000, rel=1e-3)
    assert (result.success_rate, result.errors) == (0.9, {"timeout": 10})


def test_a_run_without_requests_has_no_division_by_zero() -> None:
    result = _result()
    assert (result.requests, result.success_rate, result.rate_rps, result.endpoints) == (0, 0.0, 0.0, [])
