"""Loadgen watches itself, so that its own slowness is never charged to the target.

Three signs are taken: how late requests left (lateness), how late the event loop ran a timer (loop lag), and for
which share of the run the process was running or waiting for a processor (busy). All are reported; `bottleneck`
says when they spoil the result.
"""

import asyncio
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from services.loadgen.distribution import Distribution
from shared.contracts.load_tests import Latency

_TICK_S = 0.02
#: A process that wants a processor for more than this share of the time has a queue of its own: with random
#: arrivals, waiting grows as 1 / (1 - busy).
BUSY_MAX = 0.9
#: Below this share of the reported P95 it is the target that the result is about.
OWN_DELAY_SHARE_MAX = 0.25
#: And a quarter of the 200 ms that an excellent P95 may take is what a rating can bear.
OWN_DELAY_MAX_MS = 50.0
#: Where a threshold of latency was missed there is less patience: the target is not blamed for what may be our
#: doing. Timers alone are up to 2 ms late.
OWN_DELAY_WHEN_SLOW_MAX_MS = 5.0
_SCHEDSTAT = Path("/proc/self/schedstat")  # main thread: ns on a processor, ns waiting for one, slices


@dataclass(frozen=True, slots=True)
class Health:
    """How well the generator itself did."""

    #: From a request's intended start to its real one, in ms.
    lateness_ms: Latency
    #: From when the event loop should have run a timer to when it did, in ms.
    loop_lag_ms: Latency
    #: Share of the run spent running or waiting for a processor, 0 to 1.
    busy: float
    #: Requests that failed because this machine gave no socket (open files, local ports).
    without_socket: int

    def bottleneck(self, p95_ms: float, *, too_slow: bool) -> str:
        """A sentence when the generator was the bottleneck of a run with this P95; empty when it was not.

        `too_slow` says that the run missed a threshold of latency.
        """
        if self.without_socket:
            return f"{self.without_socket} requests failed because the generator had no socket for them"
        if self.busy > BUSY_MAX:
            return f"the generator was busy for {self.busy:.0%} of the time (more than {BUSY_MAX:.0%})"
        own_ms = max(self.lateness_ms.p95, self.loop_lag_ms.p95)
        bearable_ms = OWN_DELAY_WHEN_SLOW_MAX_MS if too_slow else OWN_DELAY_MAX_MS
        if own_ms > max(bearable_ms, OWN_DELAY_SHARE_MAX * p95_ms):
            return f"the generator itself was {own_ms:.0f} ms late at P95, of the {p95_ms:.0f} ms that it measured"
        return ""


class Watch:
    """Watches the running event loop: `async with Watch() as watch`, then `watch.health(...)`."""

    def __init__(self) -> None:
        self._lag = Distribution()
        self._busy = 0.0

    async def __aenter__(self) -> Self:
        self._started_s, self._used_s = time.perf_counter(), _processor_s()
        self._ticking = asyncio.create_task(self._tick())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        wall_s = time.perf_counter() - self._started_s
        self._busy = min((_processor_s() - self._used_s) / wall_s, 1.0)
        self._ticking.cancel()
        with suppress(asyncio.CancelledError):
            await self._ticking

    def health(self, lateness: Distribution, *, without_socket: int) -> Health:
        """What was seen, once the watch is over."""
        return Health(lateness.latency(), self._lag.latency(), self._busy, without_socket)

    async def _tick(self) -> None:
        """Measure every tick from when it was due, so that a freeze counts for all the ticks that it covers."""
        due_s = time.perf_counter() + _TICK_S
        while True:
            await asyncio.sleep(due_s - time.perf_counter())
            now_s = time.perf_counter()
            while due_s <= now_s:
                self._lag.record(now_s - due_s)
                due_s += _TICK_S


def _processor_s() -> float:
    """Seconds that this thread has run, and on Linux also those that it waited for a processor."""
    used_s = time.thread_time()
    with suppress(OSError, ValueError, IndexError):
        used_s += int(_SCHEDSTAT.read_text().split()[1]) / 1e9
    return used_s
