"""The generator knows when it was the bottleneck."""

import asyncio
import time

import pytest

from services.loadgen.distribution import Distribution
from services.loadgen.generator import Health, Watch
from shared.contracts.load_tests import Latency


def _flat(value_ms: float) -> Latency:
    return Latency(min=value_ms, avg=value_ms, max=value_ms, p50=value_ms, p95=value_ms, p99=value_ms)


def _health(
    *, late_ms: float = 1.0, lag_ms: float = 1.0, busy: float = 0.3, without_socket: int = 0
) -> Health:
    return Health(_flat(late_ms), _flat(lag_ms), busy, without_socket)


@pytest.mark.parametrize(
    ("health", "p95_ms"),
    [
        (_health(), 5.0),
        (_health(late_ms=49.0, lag_ms=49.0, busy=0.89), 50.0),  # no rating depends on it
        (_health(late_ms=100.0), 1000.0),  # little beside what the target took
    ],
)
def test_a_generator_in_time_is_no_bottleneck(health: Health, p95_ms: float) -> None:
    assert health.bottleneck(p95_ms, too_slow=False) == ""


def test_a_missed_threshold_is_not_blamed_on_the_target_when_the_generator_was_late_too() -> None:
    assert _health(late_ms=20.0).bottleneck(40.0, too_slow=False) == ""
    assert "20 ms late" in _health(late_ms=20.0).bottleneck(40.0, too_slow=True)
    assert _health(late_ms=20.0).bottleneck(400.0, too_slow=True) == ""
    assert _health(late_ms=2.0).bottleneck(3.0, too_slow=True) == ""  # as exact as timers are


@pytest.mark.parametrize(
    ("health", "said"),
    [
        (_health(late_ms=60.0), "60 ms late"),
        (_health(lag_ms=70.0), "70 ms late"),
        (_health(busy=0.97), "busy for 97%"),
        (_health(without_socket=3), "3 requests failed"),
    ],
)
def test_a_saturated_generator_says_why(health: Health, said: str) -> None:
    assert said in health.bottleneck(100.0, too_slow=False)


async def test_a_frozen_event_loop_counts_for_every_tick_that_it_missed() -> None:
    async with Watch() as watch:
        await asyncio.sleep(0.05)
        time.sleep(0.5)  # noqa: ASYNC251 - the freeze that is to be seen
        await asyncio.sleep(0.05)
    health = watch.health(Distribution(), without_socket=0)
    assert health.loop_lag_ms.max >= 450
    assert health.loop_lag_ms.p50 >= 100  # of some 30 ticks 25 fell into the freeze


async def test_a_loop_that_computes_all_the_time_is_busy() -> None:
    async with Watch() as watch:
        for _ in range(20):
            until_s = time.thread_time() + 0.01
            while time.thread_time() < until_s:
                pass
            await asyncio.sleep(0)
    assert watch.health(Distribution(), without_socket=0).busy > 0.8
