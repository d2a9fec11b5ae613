"""Says how a run is going: one line that is rewritten on a terminal, a line now and then elsewhere.

No live table: drawing one takes 10 ms of the event loop that measures, and a 10 ms pause is a 10 ms P99.
"""

import asyncio
from typing import TextIO

from services.loadgen.pacer import Pacer
from services.loadgen.stats import Stats

_TERMINAL_EVERY_S = 0.5
_LOG_EVERY_S = 5.0


async def show(stats: Stats, pacer: Pacer, duration_s: float, out: TextIO) -> None:
    """Until cancelled."""
    terminal = out.isatty()
    seen = 0
    every_s = _TERMINAL_EVERY_S if terminal else _LOG_EVERY_S
    try:
        while True:
            await asyncio.sleep(every_s)
            line = _line(stats, pacer.sending_s, duration_s, (stats.requests - seen) / every_s)
            seen = stats.requests
            out.write(f"\r\x1b[2K{line}" if terminal else f"{line}\n")
            out.flush()
    finally:
        if terminal:
            out.write("\r\x1b[2K")
            out.flush()


def _line(stats: Stats, sending_s: float, duration_s: float, rate_rps: float) -> str:
    return (
        f"{sending_s:5.0f} of {duration_s:.0f} s   {stats.requests} requests   {rate_rps:.1f}/s   "
        f"{stats.failures} failed   P95 {stats.latency.percentile_ms(95):.1f} ms"
    )
