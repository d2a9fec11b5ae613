"""The metrics of the jobs service."""

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics import LATENCY_BUCKETS_S

_LONG_BUCKETS_S = (*LATENCY_BUCKETS_S, 30.0, 60.0, 300.0)

RECORDS_STORED = Counter(
    "signalbox_jobs_records_stored_total",
    "Records that are stored, duplicates included, by topic.",
    ["topic"],
)
RECORDS_DEAD = Counter(
    "signalbox_jobs_records_dead_total",
    "Records sent to a dead-letter topic, by topic and reason.",
    ["topic", "reason"],
)
STORE_DURATION = Histogram(
    "signalbox_jobs_store_duration_seconds",
    "Time to store one batch, by topic.",
    ["topic"],
    buckets=LATENCY_BUCKETS_S,
)
CAPTURE_DELAY = Histogram(
    "signalbox_jobs_capture_delay_seconds",
    "From ingest's receipt of an event until it is stored, by topic.",
    ["topic"],
    buckets=_LONG_BUCKETS_S,
)
JOBS_STARTED = Counter("signalbox_jobs_attempts_started_total", "Attempts started, by job type.", ["type"])
JOBS_FINISHED = Counter(
    "signalbox_jobs_attempts_finished_total",
    "Attempts finished, by job type and outcome.",
    ["type", "outcome"],
)
JOB_DURATION = Histogram(
    "signalbox_jobs_attempt_duration_seconds",
    "Time that a handler ran, by job type.",
    ["type"],
    buckets=_LONG_BUCKETS_S,
)
JOBS_RUNNING = Gauge("signalbox_jobs_running", "Handlers that run now.")
JOBS_RESCUED = Counter("signalbox_jobs_rescued_total", "Jobs taken from workers that fell silent.")
HINTS_SWEPT = Counter("signalbox_jobs_hints_swept_total", "Hints sent by the sweeper.")
MESSAGES_RELAYED = Counter(
    "signalbox_jobs_messages_relayed_total", "Outbox messages acknowledged by Kafka, by kind.", ["kind"]
)
