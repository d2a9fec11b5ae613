"""The outcome of a load test, as loadgen publishes it and `GET /v1/load-tests` shows it."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.events import Instant, Uuid


class LoadRating(StrEnum):
    """The verdict on a 95th percentile."""

    EXCELLENT = "Excellent"
    GOOD = "Good"
    FAIR = "Fair"
    POOR = "Poor"


def rate_p95(p95_ms: float) -> LoadRating:
    """Under 200 ms is Excellent, under 500 Good, under 1000 Fair, else Poor (contract.md)."""
    if p95_ms < 200:
        return LoadRating.EXCELLENT
    if p95_ms < 500:
        return LoadRating.GOOD
    return LoadRating.FAIR if p95_ms < 1000 else LoadRating.POOR


class Latency(Struct, kw_only=True, frozen=True):
    """A distribution of response times, in milliseconds."""

    min: Annotated[float, Meta(description="The fastest.")]
    avg: Annotated[float, Meta(description="The mean.")]
    max: Annotated[float, Meta(description="The slowest.")]
    p50: Annotated[float, Meta(description="The median.")]
    p95: Annotated[float, Meta(description="95th percentile: what the rating goes by.")]
    p99: Annotated[float, Meta(description="99th percentile.")]


class EndpointResult(Struct, kw_only=True, frozen=True):
    """One kind of request."""

    name: Annotated[str, Meta(description="Such as `POST /v1/events`.")]
    requests: Annotated[int, Meta(description="Requests finished.")]
    failures: Annotated[int, Meta(description="Those that failed.")]
    latency_ms: Annotated[Latency, Meta(description="From a request's intended start to its response's end.")]


class LoadTestResult(Struct, kw_only=True, frozen=True):
    """One run of a scenario."""

    id: Annotated[Uuid, Meta(description="The run's UUID.")]
    scenario: Annotated[str, Meta(description="Such as `light`.")]
    target: Annotated[str, Meta(description="The address under load.")]
    started_at: Annotated[Instant, Meta(description="When it began.")]
    duration_s: Annotated[float, Meta(description="How long requests were sent.")]
    users: Annotated[int, Meta(description="Concurrent users.")]
    requests: Annotated[int, Meta(description="Requests finished.")]
    failures: Annotated[int, Meta(description="Those that failed.")]
    success_rate: Annotated[float, Meta(description="0 to 1.")]
    rate_rps: Annotated[float, Meta(description="Requests finished a second.")]
    latency_ms: Annotated[Latency, Meta(description="The same over all requests.")]
    endpoints: Annotated[list[EndpointResult], Meta(description="The same by kind of request.")]
    errors: Annotated[dict[str, int], Meta(description="Failures by kind.")]
    rating: Annotated[LoadRating, Meta(description="The verdict, by P95.")]
    thresholds_missed: Annotated[list[str], Meta(description="What `--fail-on` asked and did not get.")] = []
