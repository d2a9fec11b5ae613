"""Counts what came back: by endpoint, by kind of failure, and altogether."""

from collections import Counter
from datetime import datetime
from typing import NamedTuple

from services.loadgen.distribution import Distribution
from shared.contracts.load_tests import EndpointResult, LoadTestResult, rate_p95


class Sample(NamedTuple):
    """One finished request."""

    #: The kind of request, such as `POST /v1/events`.
    endpoint: str
    #: From the intended start to the end of the answer, or to giving up.
    latency_s: float
    #: From the intended start to the real one: the generator's own doing.
    lateness_s: float
    #: Why it failed, a word or two of a closed set; empty when it did not.
    failure: str
    #: Whether the target answered at all.
    answered: bool


class Run(NamedTuple):
    """What identifies a run, and how much of it there was."""

    id: str
    scenario: str
    target: str
    started_at: datetime
    users: int
    duration_s: float


class _Endpoint:
    def __init__(self) -> None:
        self.latency = Distribution()
        self.failures = 0


class Stats:
    """Samples, summed up.

    Failed requests are in the percentiles too: a timeout is the slowest answer there is. One that is refused at
    once is fast, which is why the share of failures is always shown beside the rating.
    """

    def __init__(self) -> None:
        self._endpoints: dict[str, _Endpoint] = {}
        self.latency = Distribution()
        self.lateness = Distribution()
        self.errors: Counter[str] = Counter()
        self.failures = 0
        self.answered = 0

    @property
    def requests(self) -> int:
        """Requests finished."""
        return self.latency.count

    def record(self, sample: Sample) -> None:
        """Add a sample."""
        endpoint = self._endpoints.get(sample.endpoint)
        if endpoint is None:
            endpoint = self._endpoints[sample.endpoint] = _Endpoint()
        endpoint.latency.record(sample.latency_s)
        self.latency.record(sample.latency_s)
        self.lateness.record(sample.lateness_s)
        self.answered += sample.answered
        if sample.failure:
            self.failures += 1
            endpoint.failures += 1
            self.errors[sample.failure] += 1

    def result(self, run: Run) -> LoadTestResult:
        """The outcome as it is published; thresholds are judged by whoever knows them."""
        latency = self.latency.latency()
        return LoadTestResult(
            id=run.id,
            scenario=run.scenario,
            target=run.target,
            started_at=run.started_at,
            duration_s=run.duration_s,
            users=run.users,
            requests=self.requests,
            failures=self.failures,
            success_rate=1 - self.failures / self.requests if self.requests else 0.0,
            rate_rps=self.requests / run.duration_s if run.duration_s else 0.0,
            latency_ms=latency,
            endpoints=[
                EndpointResult(
                    name=name,
                    requests=endpoint.latency.count,
                    failures=endpoint.failures,
                    latency_ms=endpoint.latency.latency(),
                )
                for name, endpoint in sorted(self._endpoints.items())
            ],
            errors=dict(self.errors.most_common()),
            rating=rate_p95(latency.p95),
        )
