"""Percentiles that merge: a histogram with logarithmic buckets.

Bucket i holds values in (GAMMA^(i-1), GAMMA^i], so any value in it is within 1 % of its midpoint, and the merge of
two histograms is the sum of their buckets, exact and in any order. It is the logarithmic mapping of DDSketch
(Masson, Rim and Lee, "DDSketch", VLDB 2019) without collapsing: the domain below bounds the number of buckets.
"""

import math
from collections.abc import Iterable, Mapping

GAMMA = 1.02  # relative error (GAMMA - 1) / (GAMMA + 1), just under 1 %
VALUE_MIN = 1e-4  # smaller values, zero and below among them, share the lowest bucket
VALUE_MAX = 1e9

_LOG_GAMMA = math.log(GAMMA)
_LOWEST = math.ceil(math.log(VALUE_MIN) / _LOG_GAMMA)

Buckets = Mapping[int, int]


def bucket_of(value: float) -> int:
    """The bucket of a value."""
    if value <= VALUE_MIN:
        return _LOWEST
    return math.ceil(math.log(min(value, VALUE_MAX)) / _LOG_GAMMA)


def midpoint(bucket: int) -> float:
    """The value that stands for a bucket: within 1 % of every value in it."""
    if bucket <= _LOWEST:
        return 0.0
    return float(2 * GAMMA**bucket / (GAMMA + 1))


def count(values: Iterable[float]) -> dict[int, int]:
    """The histogram of some values."""
    buckets: dict[int, int] = {}
    for value in values:
        bucket = bucket_of(value)
        buckets[bucket] = buckets.get(bucket, 0) + 1
    return buckets


def merged(histograms: Iterable[Buckets]) -> dict[int, int]:
    """The histogram of everything that the given ones count."""
    total: dict[int, int] = {}
    for histogram in histograms:
        for bucket, samples in histogram.items():
            total[bucket] = total.get(bucket, 0) + samples
    return total


def quantile(buckets: Buckets, q: float) -> float:
    """The value below which a share `q` of the samples lies (nearest rank). Raises ValueError when there are none."""
    samples = sum(buckets.values())
    if samples == 0:
        raise ValueError("no samples")
    rank = max(1, math.ceil(q * samples))
    for bucket in sorted(buckets):
        rank -= buckets[bucket]
        if rank <= 0:
            return midpoint(bucket)
    raise AssertionError("the ranks add up to the samples")
