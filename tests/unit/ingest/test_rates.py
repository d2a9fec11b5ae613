"""Rate limits: the first item over one is refused, and room comes back at the pace of the limit."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.rates import UNLIMITED, Category, KeyRates, RateLimited


class Ticking:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.s = 1_000.0

    def __call__(self) -> float:
        return self.s


def test_the_first_item_over_the_limit_is_refused() -> None:
    rates = KeyRates({Category.ERROR: 10}, now=Ticking())
    assert [rates.spend(Category.ERROR) for _ in range(12)] == [1] * 10 + [0, 0]
    assert rates.spend(Category.METRIC, 1_000) == 1_000, "a category without a limit has none"


def test_as_many_of_a_batch_are_let_in_as_there_is_room_for() -> None:
    rates = KeyRates({Category.ERROR: 10}, now=Ticking())
    assert (
        rates.spend(Category.ERROR, 7),
        rates.spend(Category.ERROR, 7),
        rates.spend(Category.ERROR, 7),
    ) == (7, 3, 0)


def test_room_comes_back_at_the_pace_of_the_limit() -> None:
    clock = Ticking()
    rates = KeyRates({Category.ERROR: 6}, now=clock)
    assert rates.spend(Category.ERROR, 6) == 6
    clock.s += 9.9
    assert rates.spend(Category.ERROR) == 0
    assert rates.wait_s(Category.ERROR) == 1
    clock.s += 0.1
    assert rates.spend(Category.ERROR, 2) == 1
    clock.s += 3_600
    assert rates.spend(Category.ERROR, 100) == 6, "an hour of silence saves up no more than a minute's worth"


def test_a_refusal_says_when_to_come_back() -> None:
    rates = KeyRates({Category.ERROR: 2}, now=Ticking())
    rates.require(Category.ERROR)
    rates.require(Category.ERROR)
    with pytest.raises(RateLimited) as refusal:
        rates.require(Category.ERROR)
    assert refusal.value.retry_after_s == 30
    assert refusal.value.headers == {"RateLimit-Policy": '"error";q=2;w=60', "RateLimit": '"error";r=0;t=30'}
    assert rates.exhausted() == {Category.ERROR: 30}


def test_a_process_enforces_its_share_and_no_limit_is_zero() -> None:
    rates = KeyRates({Category.ERROR: 10, Category.EVENT: 0, Category.JOB: 1}, share=0.5, now=Ticking())
    assert (
        rates.spend(Category.ERROR, 20),
        rates.spend(Category.EVENT, 20),
        rates.spend(Category.JOB, 20),
    ) == (5, 20, 1)
    assert UNLIMITED.exhausted() == {}


def test_other_limits_do_not_forget_what_was_let_in() -> None:
    rates = KeyRates({Category.ERROR: 10}, now=Ticking())
    rates.spend(Category.ERROR, 10)
    rates.change({Category.ERROR: 20})
    assert rates.spend(Category.ERROR) == 0
    rates.change({})
    assert rates.spend(Category.ERROR) == 1


@given(
    st.integers(1, 1_000),
    st.lists(st.tuples(st.floats(0, 30, allow_nan=False), st.integers(0, 500)), max_size=40),
)
def test_no_minute_lets_in_more_than_twice_the_limit(limit: int, requests: list[tuple[float, int]]) -> None:
    """A full bucket and what refills it meanwhile."""
    clock = Ticking()
    rates = KeyRates({Category.ERROR: limit}, now=clock)
    admitted: list[tuple[float, int]] = []
    for wait_s, items in requests:
        clock.s += wait_s
        admitted.append((clock.s, rates.spend(Category.ERROR, items)))
    for start, _ in admitted:
        assert sum(count for at, count in admitted if start <= at <= start + 60) <= 2 * limit
