"""The metrics of ingest; requests by route and status are in `shared.metrics`.

Every label has a closed set of values: types and flaws are enums, topics are rows of the topic table.
What a request touches is tallied; every Gauge says how those of several workers are put together.
"""

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics import LATENCY_BUCKETS_S, TalliedCounter, TalliedCounters, TalliedGauge, TalliedHistogram

ITEMS_ACCEPTED = TalliedCounters(
    Counter(
        "signalbox_ingest_items_accepted_total",
        "Events, jobs and changes that Kafka or the spool has acknowledged, by topic.",
        ["topic"],
    )
)
ITEMS_REJECTED = Counter(
    "signalbox_ingest_items_rejected_total",
    "Events, jobs and changes that were refused, by what was wrong with them, or with the whole request (then it counts"
    " as one).",
    ["flaw"],
)
ITEMS_LIMITED = Counter(
    "signalbox_ingest_items_limited_total", "Items over a key's rate limit, by category.", ["category"]
)
ITEMS_UNAVAILABLE = Counter(
    "signalbox_ingest_items_unavailable_total",
    "Items, or whole requests, answered 503: they may be sent again.",
)
ITEMS_FILTERED = Counter(
    "signalbox_ingest_items_filtered_total",
    "Items of foreign protocols that have no place here, by protocol and type.",
    ["protocol", "type"],
)
CLIENT_DISCARDED = Counter(
    "signalbox_ingest_client_discarded_total",
    "Items that Sentry SDKs say they never sent (their client reports), by reason and category.",
    ["reason", "category"],
)
BODY_BYTES = TalliedCounter(
    Counter("signalbox_ingest_body_bytes_total", "Bytes of accepted bodies, decompressed.")
)
BODY_BYTES_IN_FLIGHT = TalliedGauge(
    Gauge(
        "signalbox_ingest_body_in_flight_bytes",
        "Bytes of bodies that are parsed or wait for Kafka.",
        multiprocess_mode="livesum",
    )
)
PUBLISH_DURATION = TalliedHistogram(
    Histogram(
        "signalbox_ingest_publish_duration_seconds",
        "Time until Kafka or the spool had all records of a request, or neither had.",
        buckets=LATENCY_BUCKETS_S,
    )
)
PUBLISH_FAILURES = Counter(
    "signalbox_ingest_publish_failures_total",
    "Batches that Kafka did not acknowledge, by cause: `timeout`, `refused`, or a `defect` of ours.",
    ["cause"],
)
PRODUCERS_REPLACED = Counter(
    "signalbox_ingest_producers_replaced_total",
    "Kafka producers given up after an error that is fatal to them.",
)
BREAKER_STATE = Gauge(
    "signalbox_ingest_breaker_state",
    "Whether records are sent to Kafka: 0 closed (they are), 1 half-open (it is tried), 2 open (they are not).",
    multiprocess_mode="livemax",
)
BREAKER_OPENED = Counter(
    "signalbox_ingest_breaker_opened_total",
    "Times that Kafka stopped taking records, as seen by one process.",
)
SPOOL_BYTES = Gauge(
    "signalbox_ingest_spool_bytes",
    "Bytes of records in the spool that Kafka lacks.",
    multiprocess_mode="livesum",
)
SPOOL_RECORDS = Gauge(
    "signalbox_ingest_spool_records", "Records in the spool that Kafka lacks.", multiprocess_mode="livesum"
)
SPOOL_OLDEST_AGE = Gauge(
    "signalbox_ingest_spool_oldest_age_seconds",
    "Since when the oldest record in the spool waits for Kafka.",
    multiprocess_mode="livemax",
)
SPOOLED = Counter(
    "signalbox_ingest_spooled_total", "Records acknowledged by the spool, since Kafka did not take them."
)
REPLAYED = Counter(
    "signalbox_ingest_replayed_total", "Records of the spool that Kafka has acknowledged since."
)
SPOOL_CORRUPT = Counter(
    "signalbox_ingest_spool_corrupt_total", "Damaged stretches of the spool; at least one record was in each."
)
DROPPED = Counter(
    "signalbox_ingest_dropped_total",
    "Records lost: `full` (no Kafka, no room in the spool, and a client that does not retry), `refused` by Kafka for good,"
    " or spooled for an `unknown_topic`.",
    ["reason"],
)
CONNECTIONS_CUT = Counter(
    "signalbox_ingest_connections_cut_total",
    "Connections closed on clients: `head_too_large`, `head_too_slow`, `body_too_slow`, or `malformed` (not HTTP).",
    ["reason"],
)
PROJECTS_RELOADS = Counter(
    "signalbox_ingest_projects_reloads_total",
    "Times that the file of projects and keys was read again: `done`, or `failed` and the old keys stay.",
    ["outcome"],
)
