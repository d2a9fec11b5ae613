"""A distribution of durations: HdrHistogram for percentiles, exact minimum, maximum and mean beside it."""

import math

from hdrh.histogram import HdrHistogram

from shared.contracts.load_tests import Latency

_US_MAX = 3_600_000_000  # an hour; what is longer counts as an hour in percentiles
_DIGITS = 3  # percentiles within 0.1 %


class Distribution:
    """Durations, recorded in microseconds without keeping them: memory does not grow with a run."""

    def __init__(self) -> None:
        self._histogram = HdrHistogram(1, _US_MAX, _DIGITS)
        self._sum_s = 0.0
        self._min_s = float("inf")
        self._max_s = 0.0
        self.count = 0

    def record(self, seconds: float) -> None:
        """Add one duration; a negative one (a timer that fired early) counts as zero."""
        seconds = max(seconds, 0.0)
        self._histogram.record_value(min(round(seconds * 1e6), _US_MAX))
        self._sum_s += seconds
        self._min_s = min(self._min_s, seconds)
        self._max_s = max(self._max_s, seconds)
        self.count += 1

    def percentile_ms(self, percent: float) -> float:
        """The value that `percent` of the durations do not exceed; 0 when there are none."""
        if self.count == 0:
            return 0.0
        rank = math.ceil(self.count * percent / 100)  # HdrHistogram rounds it, and down as well
        value_s = float(self._histogram.get_value_at_percentile(100 * rank / self.count)) / 1e6
        return 1e3 * min(max(value_s, self._min_s), self._max_s)  # never beyond what was really seen

    def latency(self) -> Latency:
        """Its summary, in milliseconds; zeros when there are none."""
        if self.count == 0:
            return Latency(min=0.0, avg=0.0, max=0.0, p50=0.0, p95=0.0, p99=0.0)
        return Latency(
            min=1e3 * self._min_s,
            avg=1e3 * self._sum_s / self.count,
            max=1e3 * self._max_s,
            p50=self.percentile_ms(50),
            p95=self.percentile_ms(95),
            p99=self.percentile_ms(99),
        )
