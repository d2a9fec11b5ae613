"""The plan of intended starts, and whoever waits for them."""

import asyncio
from time import perf_counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.loadgen.pacer import Pacer, arrivals


@given(
    start_s=st.floats(min_value=0, max_value=1e6),
    rate_rps=st.floats(min_value=0.1, max_value=5000),
    duration_s=st.floats(min_value=0.01, max_value=2),
)
def test_arrivals_are_evenly_spaced_and_end_with_the_run(
    start_s: float, rate_rps: float, duration_s: float
) -> None:
    plan = list(arrivals(start_s, rate_rps, duration_s))
    assert len(plan) == pytest.approx(rate_rps * duration_s, abs=1)
    assert all(due_s < start_s + duration_s + 1e-9 for due_s in plan)
    for number, due_s in enumerate(plan):
        assert due_s == pytest.approx(start_s + number / rate_rps, abs=1e-9)


async def test_nobody_is_let_go_before_their_time() -> None:
    start_s = perf_counter()
    pacer = Pacer(start_s, start_s + 60)
    for number in range(20):
        due_s = start_s + number * 0.0037
        assert await pacer.until(due_s)
        assert perf_counter() >= due_s


async def test_what_was_due_in_the_run_starts_however_late_the_generator_is() -> None:
    start_s = perf_counter() - 10
    pacer = Pacer(start_s, start_s + 5)
    assert await pacer.until(start_s + 4.9)


async def test_overdue_requests_start_in_a_row_and_yet_let_others_run() -> None:
    start_s = perf_counter() - 10
    pacer = Pacer(start_s, start_s + 60)
    turns = 0

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    for _ in range(20_000):
        assert await pacer.until(start_s + 1)
    counting.cancel()
    assert 1 <= turns < 10_000


async def test_what_is_due_after_the_end_never_starts_and_waits_for_the_end() -> None:
    start_s = perf_counter()
    pacer = Pacer(start_s, start_s + 0.02)
    assert not await pacer.until(start_s + 3600)
    assert perf_counter() >= start_s + 0.02
    assert pacer.sending_s == pytest.approx(0.02)


async def test_stopping_lets_everybody_go_home_at_once() -> None:
    start_s = perf_counter()
    pacer = Pacer(start_s, start_s + 3600)
    waiting = [asyncio.create_task(pacer.until(start_s + 1800 + n)) for n in range(100)]
    await asyncio.sleep(0)
    pacer.stop()
    async with asyncio.timeout(10):
        assert not any(await asyncio.gather(*waiting))
    assert pacer.sending_s < 3600
    assert not await pacer.until(start_s)
