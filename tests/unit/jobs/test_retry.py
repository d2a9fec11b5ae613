"""When a failed attempt is followed by another."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.jobs.publisher import tier_of
from services.jobs.retry import RetryPolicy


@given(st.integers(min_value=1, max_value=40))
def test_a_pause_doubles_is_jittered_by_half_and_never_longer_than_the_cap(attempt: int) -> None:
    policy = RetryPolicy(backoff_s_min=2.0, backoff_s_max=100.0)
    longest = min(100.0, 2.0 * 2.0 ** (attempt - 1))
    assert longest / 2 <= policy.pause_s(attempt) <= longest


def test_what_the_other_side_asked_for_is_a_lower_bound_within_the_cap() -> None:
    policy = RetryPolicy(backoff_s_min=1.0, backoff_s_max=60.0)
    assert policy.pause_s(1, retry_after_s=30) == 30
    assert policy.pause_s(1, retry_after_s=3600) == 60


@pytest.mark.parametrize(
    ("delay_s", "tier"),
    [(0.2, "1s"), (1, "1s"), (9.9, "1s"), (10, "10s"), (75, "1m"), (600, "10m"), (9e9, "10m")],
)
def test_a_retry_goes_through_the_longest_tier_that_is_not_too_long(delay_s: float, tier: str) -> None:
    assert tier_of(delay_s) == tier
