"""Numbers that are tallied reach Prometheus as if they had been written through."""

import pytest
from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from shared import metrics
from shared.metrics import TalliedCounters, TalliedGauge, TalliedHistogram


def test_tallies_are_handed_over_once() -> None:
    registry = CollectorRegistry()
    counters = TalliedCounters(Counter("c", "c", ["x"], registry=registry))
    gauge = TalliedGauge(Gauge("g", "g", registry=registry))
    for _ in range(3):
        counters.labels("a").inc()
    counters.labels("b").inc(0.5)
    gauge.set(7)
    assert registry.get_sample_value("c_total", {"x": "a"}) == 0
    for _ in range(2):
        metrics.hand_over()
        assert registry.get_sample_value("c_total", {"x": "a"}) == 3
        assert registry.get_sample_value("c_total", {"x": "b"}) == 0.5
        assert registry.get_sample_value("g") == 7


@pytest.mark.parametrize("value", [0.0, 0.001, 0.0011, 0.2, 9.0, 11.0])
def test_a_tallied_histogram_has_the_same_buckets(value: float) -> None:
    tallied, through = CollectorRegistry(), CollectorRegistry()
    histogram = TalliedHistogram(Histogram("h", "h", registry=tallied, buckets=metrics.LATENCY_BUCKETS_S))
    plain = Histogram("h", "h", registry=through, buckets=metrics.LATENCY_BUCKETS_S)
    for _ in range(2):
        histogram.observe(value)
        plain.observe(value)
        metrics.hand_over()
    for bound in [*metrics.LATENCY_BUCKETS_S, float("inf")]:
        le = {"le": str(bound) if bound != float("inf") else "+Inf"}
        assert tallied.get_sample_value("h_bucket", le) == through.get_sample_value("h_bucket", le)
    assert tallied.get_sample_value("h_sum") == through.get_sample_value("h_sum")
    assert tallied.get_sample_value("h_count") == through.get_sample_value("h_count")
