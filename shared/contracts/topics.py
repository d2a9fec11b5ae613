"""The topic table: every topic of signalbox, what is on it, who writes and who reads it.

`make up` and compose create topics from it, services refuse to start when one that they use is absent, and
AsyncAPI is generated from it. Topic names are spelled nowhere else.
"""

from enum import StrEnum
from typing import Any, NamedTuple

from shared.contracts.cache import Invalidation
from shared.contracts.events import CustomEvent, Envelope, Error, Metric, PageView
from shared.contracts.issues import IssueChange
from shared.contracts.jobs import DeadJob, JobHint, JobRequest, JobRetry, JobStatusChange, Lane
from shared.contracts.load_tests import LoadTestResult
from shared.contracts.vitals import VitalsWindow

_HOUR_MS = 3_600_000
_DAY_MS = 24 * _HOUR_MS

#: Fixed up front: keys keep their partition only while the number stays. Four workers can share a topic.
PARTITIONS = 4

#: Of one record with its headers; brokers refuse larger ones, whoever sends them.
RECORD_BYTES_MAX = 1_048_576
#: A dead letter is a record with headers that say why; a dead job is a job with its history.
DEAD_LETTER_BYTES_MAX = RECORD_BYTES_MAX + 131_072


class Cleanup(StrEnum):
    """What Kafka does with old records."""

    DELETE = "delete"
    COMPACT = "compact"


class Topic(NamedTuple):
    """One row of the table."""

    name: str
    #: What one record is: the `ce_type` header.
    type: str
    #: What is on it, in a sentence.
    description: str
    #: What the record key is, in words; records with one key keep their order.
    key: str
    #: The type of a record's value; None where it is another topic's bytes, unchanged.
    payload: Any
    #: The services that write it.
    producers: tuple[str, ...]
    #: The services that read it.
    consumers: tuple[str, ...]
    partitions: int = PARTITIONS
    retention_ms: int = 7 * _DAY_MS
    record_bytes_max: int = RECORD_BYTES_MAX
    cleanup: Cleanup = Cleanup.DELETE
    #: Where records go that cannot be processed; None on topics that no service of ours reads.
    dead_letter: str | None = None

    @property
    def schema(self) -> str:
        """The identifier of the payload's schema and version, for the `ce_dataschema` header."""
        name, _, version = self.name.removeprefix("signalbox.").rpartition(".")
        return f"urn:signalbox:{name}:{version}"


def _dead_name(name: str) -> str:
    stem, _, version = name.rpartition(".")
    return f"{stem}.dead.{version}"


def _input(name: str, type: str, description: str, **row: Any) -> Topic:
    """A topic that we read, with a dead-letter twin of its own unless the row names another."""
    row.setdefault("dead_letter", _dead_name(name))
    return Topic(name=name, type=type, description=description, **row)


ERRORS = _input(
    "signalbox.errors.v1",
    "signalbox.error",
    "Errors of the producers' apps.",
    key="project and exception type",
    payload=Envelope[Error],
    producers=("ingest",),
    consumers=("jobs",),
)
METRICS = _input(
    "signalbox.metrics.v1",
    "signalbox.metric",
    "Web vitals and other measurements.",
    key="project and page",
    payload=Envelope[Metric],
    producers=("ingest",),
    consumers=("jobs",),
    retention_ms=2 * _DAY_MS,
)
PAGE_VIEWS = _input(
    "signalbox.page-views.v1",
    "signalbox.page_view",
    "Page views.",
    key="project and page",
    payload=Envelope[PageView],
    producers=("ingest",),
    consumers=("jobs",),
    retention_ms=2 * _DAY_MS,
)
EVENTS = _input(
    "signalbox.events.v1",
    "signalbox.event",
    "Events of the producers' own.",
    key="project and event name",
    payload=Envelope[CustomEvent],
    producers=("ingest",),
    consumers=("jobs",),
)
JOB_REQUESTS = _input(
    "signalbox.jobs.requests.v1",
    "signalbox.job.request",
    "Requests to run a job, from ingest or from any Kafka client.",
    key="job id",
    payload=JobRequest,
    producers=("ingest",),
    consumers=("jobs",),
)
DISPATCH = {
    lane: _input(
        f"signalbox.jobs.dispatch.p{lane.value}.v1",
        "signalbox.job.hint",
        f"Hints at jobs of lane p{lane.value} that can be claimed.",
        key="job id",
        payload=JobHint,
        producers=("jobs",),
        consumers=("jobs",),
        retention_ms=_DAY_MS,
        dead_letter="signalbox.jobs.dispatch.dead.v1",
    )
    for lane in Lane
}
#: Delay of each retry topic, in seconds: a retry goes to the longest one that is not longer than its backoff.
RETRY_TIERS_S = {"1s": 1, "10s": 10, "1m": 60, "10m": 600}
RETRIES = {
    tier: _input(
        f"signalbox.jobs.retry.{tier}.v1",
        "signalbox.job.retry",
        f"Failed attempts whose next one is due in about {tier}; `due_at` is exact.",
        key="job id",
        payload=JobRetry,
        producers=("jobs",),
        consumers=("jobs",),
        partitions=1,
        retention_ms=2 * _DAY_MS,
        dead_letter="signalbox.jobs.retry.dead.v1",
    )
    for tier in RETRY_TIERS_S
}
JOBS_DEAD = Topic(
    "signalbox.jobs.dead.v1",
    "signalbox.job.dead",
    "Jobs that gave up, with their history.",
    key="job id",
    payload=DeadJob,
    producers=("jobs",),
    consumers=(),
    partitions=1,
    retention_ms=30 * _DAY_MS,
    record_bytes_max=DEAD_LETTER_BYTES_MAX,
)
JOBS_STATUS = Topic(
    "signalbox.jobs.status.v1",
    "signalbox.job.status",
    "Every change of a job's state.",
    key="job id",
    payload=JobStatusChange,
    producers=("jobs",),
    consumers=(),
    cleanup=Cleanup.COMPACT,
)
WEB_VITALS = Topic(
    "signalbox.web-vitals.v1",
    "signalbox.vitals.window",
    "Per-minute aggregates of metrics; values are absolute.",
    key="project, page, metric, device and minute",
    payload=VitalsWindow,
    producers=("jobs",),
    consumers=(),
    cleanup=Cleanup.COMPACT,
)
ISSUES = Topic(
    "signalbox.issues.v1",
    "signalbox.issue.change",
    "Issues opened, and issues that came back.",
    key="issue id",
    payload=IssueChange,
    producers=("jobs",),
    consumers=(),
    partitions=1,
    retention_ms=30 * _DAY_MS,
)
INVALIDATIONS = _input(
    "signalbox.cache.invalidations.v1",
    "signalbox.cache.invalidation",
    "What every replica of the cache is to forget.",
    key="entity, pattern or first tag",
    payload=Invalidation,
    producers=("ingest", "cache"),
    consumers=("cache",),
    partitions=1,
    retention_ms=_HOUR_MS,
)
LOAD_TESTS = _input(
    "signalbox.load-tests.v1",
    "signalbox.load_test.result",
    "Outcomes of load tests.",
    key="run id",
    payload=LoadTestResult,
    producers=("loadgen",),
    consumers=("jobs",),
    partitions=1,
    retention_ms=30 * _DAY_MS,
)

_LIVE = (
    ERRORS,
    METRICS,
    PAGE_VIEWS,
    EVENTS,
    JOB_REQUESTS,
    *DISPATCH.values(),
    *RETRIES.values(),
    JOBS_DEAD,
    JOBS_STATUS,
    WEB_VITALS,
    ISSUES,
    INVALIDATIONS,
    LOAD_TESTS,
)


def _dead_letter_topics() -> list[Topic]:
    """One topic for each name that a `dead_letter` column holds; whoever reads an input writes its dead letters."""
    sources: dict[str, list[Topic]] = {}
    for topic in _LIVE:
        if topic.dead_letter is not None:
            sources.setdefault(topic.dead_letter, []).append(topic)
    return [
        Topic(
            name,
            "signalbox.dead_letter",
            f"Records of {', '.join(t.name for t in inputs)} that could not be processed, bytes untouched.",
            key="the original key",
            payload=None,
            producers=tuple(sorted({service for t in inputs for service in t.consumers})),
            consumers=(),
            partitions=1,
            retention_ms=30 * _DAY_MS,
            record_bytes_max=DEAD_LETTER_BYTES_MAX,
        )
        for name, inputs in sources.items()
    ]


#: Every topic, by name.
TOPICS: dict[str, Topic] = {topic.name: topic for topic in (*_LIVE, *_dead_letter_topics())}


def used_by(service: str) -> list[Topic]:
    """The topics that a service reads or writes: it does not start without them."""
    return [topic for topic in TOPICS.values() if service in topic.producers or service in topic.consumers]
