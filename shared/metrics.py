"""Prometheus: the exposition format, bucket bounds and the HTTP metrics that every service has.

Names are `signalbox_<service>_<noun>_<unit>[_total]`, in base units, with bounded labels; a service declares its
own in its `metrics.py`.

A service of several worker processes sets PROMETHEUS_MULTIPROC_DIR, an empty folder, before it starts them: then
each keeps its numbers in files there, and `/metrics` of any of them answers for all. Such a service says of every
Gauge how it is put together (`multiprocess_mode`).
"""

import os
from bisect import bisect_left
from functools import cache
from typing import Protocol

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    REGISTRY,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

#: From half a millisecond to ten seconds; 0.2 s, the promise for P95, is a bound of its own.
LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)
#: Where workers keep their numbers; prometheus_client looks at it once, when it is imported.
FOLDER_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
#: How long a number may wait to be handed over, so that the other workers' expositions miss no more than this.
HAND_OVER_S = 0.25


class TalliedCounter:
    """A counter for hot paths, which adds up in a plain number and hands the sum over later.

    Writing through to prometheus_client costs 1 to 2 µs, and a request has half a dozen numbers.
    """

    __slots__ = ("_amount", "_counter")

    def __init__(self, counter: Counter) -> None:
        """`counter` has its labels, if it has any."""
        self._counter = counter
        self._amount: float = 0
        _TALLIES.append(self)

    def inc(self, amount: float = 1) -> None:
        """Add, as `Counter.inc` does."""
        self._amount += amount

    def hand_over(self) -> None:
        """See `hand_over`."""
        if self._amount:
            amount, self._amount = self._amount, 0
            self._counter.inc(amount)


class TalliedCounters:
    """The same for a counter with labels."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter
        self._children: dict[tuple[str, ...], TalliedCounter] = {}

    def labels(self, *values: str) -> TalliedCounter:
        """The counter with these labels, as `Counter.labels` gives it."""
        child = self._children.get(values)
        if child is None:
            child = self._children[values] = TalliedCounter(self._counter.labels(*values))
        return child


class TalliedGauge:
    """The same for a gauge."""

    __slots__ = ("_gauge", "_value")

    def __init__(self, gauge: Gauge) -> None:
        """`gauge` has its labels, if it has any."""
        self._gauge = gauge
        self._value = 0.0
        _TALLIES.append(self)

    def set(self, value: float) -> None:
        """Set, as `Gauge.set` does."""
        self._value = value

    def hand_over(self) -> None:
        """See `hand_over`."""
        self._gauge.set(self._value)


class TalliedHistogram:
    """The same for a histogram."""

    __slots__ = ("_bounds", "_counts", "_histogram", "_sum")

    def __init__(self, histogram: Histogram) -> None:
        """`histogram` has its labels, if it has any."""
        self._histogram = histogram
        self._bounds: list[float] = list(histogram._upper_bounds)
        self._counts = [0] * len(self._bounds)
        self._sum = 0.0
        _TALLIES.append(self)

    def observe(self, value: float) -> None:
        """Count a value, as `Histogram.observe` does."""
        self._counts[bisect_left(self._bounds, value)] += 1
        self._sum += value

    def hand_over(self) -> None:
        """See `hand_over`. prometheus_client takes no sums, hence the look into its parts."""
        if not any(self._counts):
            return
        counts, self._counts = self._counts, [0] * len(self._bounds)
        total, self._sum = self._sum, 0.0
        for bucket, count in zip(self._histogram._buckets, counts, strict=True):
            if count:
                bucket.inc(count)
        self._histogram._sum.inc(total)


class _Tally(Protocol):
    def hand_over(self) -> None: ...


_TALLIES: list[_Tally] = []


def hand_over() -> None:
    """Give what was tallied to Prometheus; whoever runs workers calls it every HAND_OVER_S, and at the end."""
    for tally in _TALLIES:
        tally.hand_over()


class HttpMetrics:
    """Requests of one service, by route template (never by path, which has no bound) and status."""

    def __init__(self, service: str) -> None:
        self.requests = Counter(
            f"signalbox_{service}_http_requests_total",
            "Requests answered, by method, route and status.",
            ["method", "route", "status"],
        )
        self.duration = Histogram(
            f"signalbox_{service}_http_request_duration_seconds",
            "Time from a request's headers to the end of its response, by method and route.",
            ["method", "route"],
            buckets=LATENCY_BUCKETS_S,
        )
        self._requests = TalliedCounters(self.requests)
        self._durations: dict[tuple[str, str], TalliedHistogram] = {}

    def answered(self, method: str, route: str, status: int, *, seconds: float) -> None:
        """Count one answered request."""
        self._requests.labels(method, route, str(status)).inc()
        duration = self._durations.get((method, route))
        if duration is None:
            duration = self._durations[method, route] = TalliedHistogram(self.duration.labels(method, route))
        duration.observe(seconds)


@cache
def http_metrics(service: str) -> HttpMetrics:
    """A service's HTTP metrics: one a process, however many apps it builds, as tests do."""
    return HttpMetrics(service)


def exposition() -> tuple[bytes, str]:
    """The text that Prometheus scrapes, of all workers where there are several, and its content type."""
    hand_over()
    registry: CollectorRegistry = REGISTRY
    if folder := os.environ.get(FOLDER_VARIABLE):
        registry = CollectorRegistry()
        multiprocess.MultiProcessCollector(registry, path=folder)  # type: ignore[no-untyped-call]
    return generate_latest(registry), CONTENT_TYPE_LATEST
