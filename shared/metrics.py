"""Prometheus: the exposition format, bucket bounds and the HTTP metrics that every service has.

Names are `signalbox_<service>_<noun>_<unit>[_total]`, in base units, with bounded labels; a service declares its
own in its `metrics.py`.
"""

from functools import cache

from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, Counter, Histogram, generate_latest

#: From half a millisecond to ten seconds; 0.2 s, the promise for P95, is a bound of its own.
LATENCY_BUCKETS_S = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.2, 0.5, 1.0, 2.5, 5.0, 10.0)


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


@cache
def http_metrics(service: str) -> HttpMetrics:
    """A service's HTTP metrics: one a process, however many apps it builds, as tests do."""
    return HttpMetrics(service)


def exposition() -> tuple[bytes, str]:
    """The text that Prometheus scrapes, and its content type."""
    return generate_latest(REGISTRY), CONTENT_TYPE_LATEST
