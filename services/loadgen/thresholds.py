"""What `--fail-on` asks of a run, such as `p95<200ms,errors<1%`."""

import operator
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from shared.contracts.load_tests import LoadTestResult

_GRAMMAR = re.compile(r"([a-z0-9]+)\s*(<=|>=|<|>)\s*(\d+(?:\.\d+)?|\.\d+)\s*(\S*)", re.ASCII)
_COMPARE: dict[str, Callable[[float, float], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_LATENCIES = ("p50", "p95", "p99", "avg", "max")
_METRICS = (*_LATENCIES, "errors", "rps")
_MS_PER_UNIT = {"ms": 1.0, "s": 1000.0}


class BadThreshold(ValueError):
    """A condition that cannot be read; the text says what would be right."""


@dataclass(frozen=True, slots=True)
class Threshold:
    """One condition; `limit` is in ms for latencies, in percent for errors, in requests a second for rps."""

    text: str
    metric: str
    comparison: str
    limit: float

    @property
    def is_of_latency(self) -> bool:
        """Whether it is about how long answers take."""
        return self.metric in _LATENCIES

    def is_met(self, value: float) -> bool:
        """Whether `value`, in the limit's unit, is on the right side."""
        return _COMPARE[self.comparison](value, self.limit)


def parse(text: str) -> list[Threshold]:
    """Conditions separated by commas, all of which are to hold. Raises BadThreshold."""
    return [_parse_one(part.strip()) for part in text.split(",")]


class Miss(NamedTuple):
    """A condition that does not hold, and what was measured instead, in words."""

    threshold: Threshold
    measured: str

    def __str__(self) -> str:
        return f"{self.threshold.text} ({self.measured})"


def missed(thresholds: Sequence[Threshold], result: LoadTestResult) -> list[Miss]:
    """The conditions that do not hold; all of them when nothing was measured."""
    if result.requests == 0:
        return [Miss(threshold, "nothing was measured") for threshold in thresholds]
    misses = []
    for threshold in thresholds:
        value, shown = _measured(threshold.metric, result)
        if not threshold.is_met(value):
            misses.append(Miss(threshold, f"was {shown}"))
    return misses


def _parse_one(part: str) -> Threshold:
    match = _GRAMMAR.fullmatch(part)
    if match is None:
        raise BadThreshold(f"{part!r} is not a condition such as p95<200ms, errors<1% or rps>100")
    metric, comparison, number, unit = match.groups()
    if metric not in _METRICS:
        raise BadThreshold(f"{part!r}: {metric} is not one of {', '.join(_METRICS)}")
    limit = float(number)
    if metric in _LATENCIES:
        if unit not in _MS_PER_UNIT:
            raise BadThreshold(f"{part!r}: a latency is in ms or s, such as {metric}{comparison}{number}ms")
        limit *= _MS_PER_UNIT[unit]
    elif metric == "errors" and unit != "%":
        raise BadThreshold(f"{part!r}: errors are a share, such as errors{comparison}{number}%")
    elif metric == "rps" and unit:
        raise BadThreshold(f"{part!r}: rps has no unit, such as rps{comparison}{number}")
    return Threshold(part, metric, comparison, limit)


def _measured(metric: str, result: LoadTestResult) -> tuple[float, str]:
    if metric == "errors":
        percent = 100 * result.failures / result.requests
        return percent, f"{percent:.2f}%"
    if metric == "rps":
        return result.rate_rps, f"{result.rate_rps:.1f}"
    value_ms = float(getattr(result.latency_ms, metric))
    return value_ms, f"{value_ms:.1f} ms"
