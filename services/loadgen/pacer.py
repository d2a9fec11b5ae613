"""When requests are to start. The plan is what latency is measured from, not when a request really left."""

import asyncio
from collections.abc import Iterator
from time import perf_counter

#: asyncio's and uvloop's timers count whole milliseconds, and uvloop's may fire up to half of one early. Asking for
#: half a millisecond more means one wake-up instead of a spin; it is part of the lateness that is reported.
_TIMER_ROUNDING_S = 0.0005
#: For how long overdue requests are started in a row.
_CATCH_UP_S = 0.002


def arrivals(start_s: float, rate_rps: float, duration_s: float) -> Iterator[float]:
    """Intended starts of the open model: evenly spaced, whatever the answers do.

    Each is computed from `start_s`, so that rounding does not add up over a long run.
    """
    number = 0
    while number / rate_rps < duration_s:
        yield start_s + number / rate_rps
        number += 1


class Pacer:
    """Holds everybody back until their time, and lets everybody go when the run ends or is stopped.

    Times are `perf_counter` seconds: monotonic, and finer than the event loop's own clock.
    """

    def __init__(self, start_s: float, end_s: float) -> None:
        self.start_s = start_s
        self.end_s = end_s
        self.stopped_s: float | None = None
        self._waiting: set[asyncio.Future[None]] = set()
        self._gave_way_s = start_s

    def stop(self) -> None:
        """Start nothing more."""
        if self.stopped_s is None:
            self.stopped_s = perf_counter()
        for future in self._waiting:
            if not future.done():
                future.set_result(None)

    async def until(self, due_s: float) -> bool:
        """Return at `due_s`, never before it: True when the request is to start, False when the run is over.

        What was due before the run's end is started even when the generator is late for it: a plan is not thinned out.
        """
        wake_s = min(due_s, self.end_s)
        if perf_counter() >= wake_s:
            await self._give_way()
        while self.stopped_s is None and (delay_s := wake_s - perf_counter()) > 0:
            await self._sleep(delay_s + _TIMER_ROUNDING_S)
        return self.stopped_s is None and due_s < self.end_s

    @property
    def sending_s(self) -> float:
        """How long requests were, or have been, sent."""
        end_s = self.end_s if self.stopped_s is None else self.stopped_s
        return max(0.0, min(end_s, perf_counter()) - self.start_s)

    async def _give_way(self) -> None:
        """Let answers in, but not between any two starts that are overdue: each would wait for all the others' work."""
        if perf_counter() > self._gave_way_s + _CATCH_UP_S:
            await asyncio.sleep(0)
            self._gave_way_s = perf_counter()

    async def _sleep(self, delay_s: float) -> None:
        loop = asyncio.get_running_loop()
        future: asyncio.Future[None] = loop.create_future()
        timer = loop.call_later(delay_s, _wake, future)
        self._waiting.add(future)
        try:
            await future
        finally:
            timer.cancel()
            self._waiting.discard(future)


def _wake(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
