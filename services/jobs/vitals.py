"""Metrics become per-minute windows: pure arithmetic, no clock and no I/O."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import NamedTuple

from services.jobs import sketch
from shared.contracts.events import Envelope, Metric
from shared.contracts.vitals import Rating, rate


class WindowKey(NamedTuple):
    """What a window counts; the order of the fields is the order in which rows are locked."""

    project: str
    page: str
    metric: str
    device: str
    minute: datetime


@dataclass(slots=True)
class Window:
    """Samples of one key: exact count, sum, extremes and ratings, and a histogram for percentiles."""

    values: list[float] = field(default_factory=list)
    ratings: dict[Rating, int] = field(default_factory=lambda: dict.fromkeys(Rating, 0))

    def add(self, metric: str, value: float) -> None:
        self.values.append(value)
        rating = rate(metric, value)
        if rating is not None:
            self.ratings[rating] += 1

    def buckets(self) -> dict[int, int]:
        return sketch.count(self.values)


def windows(metrics: Iterable[Envelope[Metric]]) -> Iterator[tuple[WindowKey, Window]]:
    """The windows that these samples fall into, by when they occurred, sorted by key.

    Sorted, so that two workers that store overlapping windows lock rows in one order and never deadlock.
    """
    found: dict[WindowKey, Window] = {}
    for envelope in metrics:
        metric = envelope.data
        minute = envelope.occurred_at.replace(second=0, microsecond=0)
        key = WindowKey(envelope.project, metric.page, metric.name, metric.device, minute)
        found.setdefault(key, Window()).add(metric.name, metric.value)
    yield from sorted(found.items())
