"""The histogram that percentiles come from."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.jobs import sketch

values = st.floats(min_value=sketch.VALUE_MIN * 2, max_value=sketch.VALUE_MAX / 2)


@given(values)
def test_a_value_is_within_one_percent_of_its_buckets_midpoint(value: float) -> None:
    assert math.isclose(sketch.midpoint(sketch.bucket_of(value)), value, rel_tol=0.01)


@given(st.lists(values, min_size=1, max_size=200), st.sampled_from([0.5, 0.75, 0.95, 0.99]))
def test_a_quantile_is_within_one_percent_of_the_exact_one(samples: list[float], q: float) -> None:
    exact = sorted(samples)[max(1, math.ceil(q * len(samples))) - 1]
    assert math.isclose(sketch.quantile(sketch.count(samples), q), exact, rel_tol=0.01)


@given(st.lists(st.lists(st.floats(min_value=-1, max_value=1e12), max_size=30), max_size=5))
def test_merging_parts_is_the_same_as_counting_the_whole(parts: list[list[float]]) -> None:
    whole = [value for part in parts for value in part]
    assert sketch.merged(sketch.count(part) for part in parts) == sketch.count(whole)


def test_zero_is_zero() -> None:
    assert sketch.quantile(sketch.count([0.0, 0.0]), 0.75) == 0.0


def test_no_samples_have_no_quantile() -> None:
    with pytest.raises(ValueError, match="no samples"):
        sketch.quantile({}, 0.5)
