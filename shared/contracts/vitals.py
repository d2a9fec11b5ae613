"""Web vitals: the published thresholds, and the per-minute aggregates that go out on Kafka."""

from enum import StrEnum
from typing import Annotated, NamedTuple

from msgspec import Meta, Struct

from shared.contracts.events import Instant


class Rating(StrEnum):
    """How good a measurement is."""

    GOOD = "good"
    NEEDS_IMPROVEMENT = "needs_improvement"
    POOR = "poor"


class Threshold(NamedTuple):
    """Up to `good` is good; above `poor` is poor."""

    good: float
    poor: float


#: web.dev/articles/vitals and its page for each metric (read November 2026); ms, CLS has no unit.
#: FID was retired in March 2024 and is still accepted from old clients.
THRESHOLDS = {
    "LCP": Threshold(2500, 4000),
    "INP": Threshold(200, 500),
    "CLS": Threshold(0.1, 0.25),
    "FCP": Threshold(1800, 3000),
    "TTFB": Threshold(800, 1800),
    "FID": Threshold(100, 300),
}


def rate(metric: str, value: float) -> Rating | None:
    """The rating of a measurement, or None for a metric without published thresholds."""
    threshold = THRESHOLDS.get(metric)
    if threshold is None:
        return None
    if value <= threshold.good:
        return Rating.GOOD
    return Rating.POOR if value > threshold.poor else Rating.NEEDS_IMPROVEMENT


class VitalsWindow(Struct, kw_only=True, frozen=True):
    """One minute of one metric on one page and device class.

    Values are absolute: a later record with the same key replaces an earlier one, and the topic is compacted.
    """

    project: Annotated[str, Meta(description="The project.")]
    page: Annotated[str, Meta(description="The route template.")]
    metric: Annotated[str, Meta(description="Such as `LCP`.")]
    device: Annotated[str, Meta(description="The class of device.")]
    minute: Annotated[Instant, Meta(description="The minute's start, by when the samples occurred.")]
    count: Annotated[int, Meta(description="Samples.")]
    sum: Annotated[float, Meta(description="Their sum, in the metric's unit.")]
    min: Annotated[float, Meta(description="The smallest.")]
    max: Annotated[float, Meta(description="The largest.")]
    p50: Annotated[float, Meta(description="Median, within 1 %.")]
    p75: Annotated[float, Meta(description="75th percentile, within 1 %: what web vitals are judged by.")]
    p95: Annotated[float, Meta(description="95th percentile, within 1 %.")]
    p99: Annotated[float, Meta(description="99th percentile, within 1 %.")]
    good: Annotated[int, Meta(description="Samples rated good; 0 where the metric has no thresholds.")]
    needs_improvement: Annotated[int, Meta(description="Samples between good and poor.")]
    poor: Annotated[int, Meta(description="Samples rated poor.")]

    @property
    def key(self) -> str:
        """The record's key: what a later record with the same one replaces."""
        return f"{self.project}|{self.page}|{self.metric}|{self.device}|{self.minute.isoformat()}"
