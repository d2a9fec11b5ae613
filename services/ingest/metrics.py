"""The metrics of ingest; requests by route and status are in `shared.metrics`.

Every label has a closed set of values: types and flaws are enums, topics are rows of the topic table.
What a request touches is tallied; every Gauge says how those of several workers are put together.
"""

from prometheus_client import Counter, Gauge, Histogram

from shared.metrics import LATENCY_BUCKETS_S, TalliedCounter, TalliedCounters, TalliedGauge, TalliedHistogram

ITEMS_ACCEPTED = TalliedCounters(
    Counter(
        "signalbox_ingest_items_accepted_total",
        "Events, jobs and changes that Kafka has acknowledged, by topic.",
        ["topic"],
    )
)
ITEMS_REJECTED = Counter(
    "signalbox_ingest_items_rejected_total",
    "Events, jobs and changes that were refused, by what was wrong with them.",
    ["flaw"],
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
        "Time until Kafka acknowledged all records of a request, or did not.",
        buckets=LATENCY_BUCKETS_S,
    )
)
PUBLISH_FAILURES = Counter(
    "signalbox_ingest_publish_failures_total",
    "Requests whose records Kafka did not acknowledge, by cause: `timeout`, or `refused` by a broker.",
    ["cause"],
)
PRODUCERS_REPLACED = Counter(
    "signalbox_ingest_producers_replaced_total",
    "Kafka producers given up after an error that is fatal to them.",
)
