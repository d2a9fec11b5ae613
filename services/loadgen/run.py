"""One run: is everybody there, load them, and say what was measured and how far it can be believed."""

import asyncio
import signal
from collections.abc import Sequence
from contextlib import AsyncExitStack, suppress
from time import perf_counter
from typing import TextIO

import msgspec

from services.loadgen import progress, thresholds, traffic
from services.loadgen.client import WITHOUT_SOCKET, allow_sockets, reach
from services.loadgen.generator import Watch
from services.loadgen.journey import Services
from services.loadgen.pacer import Pacer
from services.loadgen.report import Report
from services.loadgen.stats import Run, Stats
from services.loadgen.thresholds import Threshold
from services.loadgen.traffic import Crowd, Load
from shared.clock import SystemClock
from shared.ids import new_id

_SIGNALS = (signal.SIGINT, signal.SIGTERM)


async def run(
    scenario: str, load: Load, services: Services, conditions: Sequence[Threshold], *, out: TextIO
) -> Report:
    """Load the services; progress goes to `out`.

    The first Ctrl-C (or SIGTERM) stops sending and waits for what is under way, the second does not wait; either
    way there is a report. Raises TargetUnreachable when somebody does not answer at all before the run,
    ConfigurationError when this machine cannot open the sockets.
    """
    addresses = services.addresses()
    await asyncio.gather(*(reach(url) for url in addresses))
    allow_sockets(load.users * len(addresses))
    run_id, started_at, stats = new_id(), SystemClock().now(), Stats()
    async with Crowd(services, stats, load, run_id) as crowd:
        start_s = perf_counter()
        pacer = Pacer(start_s, start_s + load.duration_s)
        async with Watch() as watch:
            await _send(crowd, pacer, load, stats, out)
    identity = Run(run_id, scenario, services.ingest, started_at, len(crowd.visitors), pacer.sending_s)
    result = stats.result(identity)
    misses = thresholds.missed(conditions, result)
    result = msgspec.structs.replace(result, thresholds_missed=[str(miss) for miss in misses])
    health = watch.health(stats.lateness, without_socket=stats.errors[WITHOUT_SOCKET])
    return Report(
        result=result,
        health=health,
        bottleneck=health.bottleneck(
            result.latency_ms.p95, too_slow=any(miss.threshold.is_of_latency for miss in misses)
        ),
        answered=stats.answered,
        left_out=services.left_out(),
        rate_rps=load.rate_rps,
        seed=load.seed,
        interrupted=pacer.stopped_s is not None,
        judged=[condition.text for condition in conditions],
    )


async def _send(crowd: Crowd, pacer: Pacer, load: Load, stats: Stats, out: TextIO) -> None:
    """Send the traffic, until its end or the second signal."""
    if load.rate_rps is None:
        sending = asyncio.create_task(traffic.closed(crowd, pacer, load))
    else:
        sending = asyncio.create_task(traffic.open_(crowd, pacer, load, load.rate_rps))
    abandoned = False

    def stop() -> None:
        nonlocal abandoned
        if pacer.stopped_s is not None:
            abandoned = True
            sending.cancel()
            return
        pacer.stop()
        print("stopping: waiting for the answers under way; once more to not wait", file=out, flush=True)

    loop = asyncio.get_running_loop()
    async with AsyncExitStack() as stack:
        for number in _SIGNALS:
            loop.add_signal_handler(number, stop)
            stack.callback(loop.remove_signal_handler, number)
        showing = asyncio.create_task(progress.show(stats, pacer, load.duration_s, out))
        stack.push_async_callback(_cancel, showing)
        try:
            await sending
        except asyncio.CancelledError:
            if not abandoned:
                await _cancel(sending)
                raise


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task
