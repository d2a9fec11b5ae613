"""The metrics of the cache service."""

from collections.abc import Iterable

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics import LATENCY_BUCKETS_S

HITS = Counter(
    "signalbox_cache_hits_total", "Gets answered from the cache, by class and level.", ["class", "level"]
)
MISSES = Counter("signalbox_cache_misses_total", "Gets that needed the source, by class.", ["class"])
STALE = Counter(
    "signalbox_cache_stale_total",
    "Gets answered from L1 unconfirmed, since the source was away, by class.",
    ["class"],
)
FILL_DURATION = Histogram(
    "signalbox_cache_fill_duration_seconds",
    "Time to read a value from PostgreSQL, by class.",
    ["class"],
    buckets=LATENCY_BUCKETS_S,
)
FILLS_FAILED = Counter(
    "signalbox_cache_fills_failed_total", "Fills that PostgreSQL did not answer, by class.", ["class"]
)
FILLS_REFUSED = Counter(
    "signalbox_cache_fills_refused_total",
    "Fills that were not stored, since they began before an invalidation, by class.",
    ["class"],
)
SETS = Counter("signalbox_cache_sets_total", "Values set by callers, by class.", ["class"])
INVALIDATIONS_APPLIED = Counter(
    "signalbox_cache_invalidations_applied_total", "Invalidations read from Kafka and applied."
)
INVALIDATIONS_MISSED = Counter(
    "signalbox_cache_invalidations_missed_total",
    "Times that Kafka had deleted invalidations before they were read, and everything was forgotten instead.",
)
RECORDS_DEAD = Counter(
    "signalbox_cache_records_dead_total",
    "Records that cannot be read as an invalidation, by reason.",
    ["reason"],
)
CONSUMER_RESTARTS = Counter(
    "signalbox_cache_consumer_restarts_total",
    "Times that the reader of invalidations lost Kafka and began anew.",
)
REDIS_UP = Gauge("signalbox_cache_redis_up", "1 while Redis is used, 0 while the replica goes on without it.")
L1_ENTRIES = Gauge("signalbox_cache_l1_entries", "Entries in L1.")
L1_BYTES = Gauge("signalbox_cache_l1_bytes", "Bytes that the entries in L1 take.")


def start_at_zero(names: Iterable[str]) -> None:
    """Make the counters of every class appear at once: Prometheus sees no increase in what was not there."""
    for name in names:
        for level in ("l1", "l2"):
            HITS.labels(name, level)
        for metric in (MISSES, STALE, FILL_DURATION, FILLS_FAILED, FILLS_REFUSED, SETS):
            metric.labels(name)


def by_class(counter: Counter, name: str, **labels: str) -> int:
    """What a counter says about one class."""
    wanted = {"class": name, **labels}
    for metric in counter.collect():
        for sample in metric.samples:
            if sample.name.endswith("_total") and sample.labels == wanted:
                return int(sample.value)
    return 0
