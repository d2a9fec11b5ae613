"""Percentiles agree with the exact ones within what HdrHistogram promises."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loadgen.distribution import Distribution
from shared.contracts.load_tests import Latency

_SECONDS = st.lists(st.floats(min_value=1e-5, max_value=600), min_size=1, max_size=200)


def _of(values_s: list[float]) -> Distribution:
    distribution = Distribution()
    for value_s in values_s:
        distribution.record(value_s)
    return distribution


@given(values_s=_SECONDS, percent=st.sampled_from([50, 95, 99]))
def test_a_percentile_is_within_a_tenth_of_a_percent_of_the_exact_one(
    values_s: list[float], percent: int
) -> None:
    exact_s = sorted(values_s)[math.ceil(len(values_s) * percent / 100) - 1]
    assert _of(values_s).percentile_ms(percent) == pytest.approx(1e3 * exact_s, rel=1.1e-3, abs=1.1e-3)


@given(values_s=_SECONDS)
def test_the_summary_is_in_order_and_its_ends_are_exact(values_s: list[float]) -> None:
    latency = _of(values_s).latency()
    assert latency.min <= latency.p50 <= latency.p95 <= latency.p99 <= latency.max
    assert (latency.min, latency.max) == (1e3 * min(values_s), 1e3 * max(values_s))
    assert latency.avg == pytest.approx(1e3 * sum(values_s) / len(values_s))


def test_nothing_recorded_is_all_zeros() -> None:
    assert Distribution().latency() == Latency(min=0, avg=0, max=0, p50=0, p95=0, p99=0)


def test_a_timer_that_fired_early_counts_as_no_delay() -> None:
    assert _of([-0.0003]).latency().max == 0


def test_longer_than_an_hour_is_kept_as_the_maximum_and_counts_as_an_hour() -> None:
    latency = _of([7200.0, 7200.0]).latency()
    assert latency.max == 7_200_000
    assert _of([1.0, 7200.0]).percentile_ms(50) == pytest.approx(1000, rel=1e-3)
