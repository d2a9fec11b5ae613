"""`POST /v1/logs`, `/v1/metrics` and `/v1/traces`: OTLP/HTTP (opentelemetry-proto, docs/specification.md).

Exceptions become errors, data points become metrics, and the rest is counted as filtered: it is taken, so that an
exporter has no reason to complain. Exporters come back after 429 and 503, so nothing needs to be dropped.
"""

from collections.abc import Callable, Iterable
from typing import Any, NamedTuple

import msgspec
from fastapi import APIRouter, Request, Response
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2 as logs_proto
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2 as metrics_proto
from opentelemetry.proto.collector.trace.v1 import trace_service_pb2 as trace_proto

from services.ingest import accounts, messages, metrics
from services.ingest.accept import RECORD_BYTES_MAX
from services.ingest.admission import admit, category_of
from services.ingest.items import Flaw
from services.ingest.limits import retry_after_s
from services.ingest.messages import Arrival, Draft
from services.ingest.otlp import codec, exceptions, json_form, samples
from services.ingest.otlp.codec import Encoding, Signal
from services.ingest.otlp.samples import Unusable
from services.ingest.publisher import Publisher
from services.ingest.receive import Dialect, Receiver
from services.ingest.settings import IngestSettings
from shared.contracts.events import Error, Metric
from shared.errors import PublishError, RequestError, Unavailable
from shared.http import shown_key

LOGS = Signal(
    "Logs",
    ("resource_logs", "scope_logs", "log_records"),
    logs_proto.ExportLogsServiceRequest,
    msgspec.json.Decoder(json_form.LogsRequest, strict=False),
    logs_proto.ExportLogsServiceResponse,
    "rejected_log_records",
)
METRICS = Signal(
    "Metrics",
    ("resource_metrics", "scope_metrics", "metrics", "data_points"),
    metrics_proto.ExportMetricsServiceRequest,
    msgspec.json.Decoder(json_form.MetricsRequest, strict=False),
    metrics_proto.ExportMetricsServiceResponse,
    "rejected_data_points",
)
TRACES = Signal(
    "Trace",
    ("resource_spans", "scope_spans", "spans", "events"),
    trace_proto.ExportTraceServiceRequest,
    msgspec.json.Decoder(json_form.TraceRequest, strict=False),
    trace_proto.ExportTraceServiceResponse,
    "rejected_spans",
)
_DOCUMENT: dict[str, Any] = {
    "responses": {
        200: {"description": "Taken; `partial_success` says what was not."},
        400: {"description": "Not what its content type says; google.rpc.Status, as with all errors."},
        401: {"description": "No key, or an unknown one."},
        403: {"description": "A page of an origin that the key's project does not allow."},
        405: {"description": "The method is not POST."},
        408: {"description": "The head or the body did not arrive in time."},
        413: {"description": "The body, or the number of its parts, is over its limit."},
        415: {"description": "An unknown Content-Type or Content-Encoding."},
        429: {"description": "The key has sent more than its limit; come back after Retry-After."},
        431: {"description": "The head has too many fields, or too many bytes."},
        500: {"description": "A defect of ours."},
        503: {"description": "Neither Kafka nor the spool took all of it; come back after Retry-After."},
    },
}

Found = Error | Metric | Unusable | None


class _Sorted(NamedTuple):
    """What a request holds, and what of it cannot be taken."""

    events: list[Error | Metric]
    filtered: int
    rejected: list[str]


def build(receiver: Receiver, publisher: Publisher, settings: IngestSettings) -> APIRouter:
    """The three routes."""
    router = APIRouter(tags=["otlp"], default_response_class=Response)
    dialect = Dialect("otlp", shown_key, None, settings.protocol_body_bytes_max)

    def route(path: str, signal: Signal[Any], translate: Callable[[Any], Iterable[Found]]) -> None:
        async def export(request: Request) -> Response:
            encoding = Encoding.JSON
            try:
                encoding = codec.encoding_of(request)
                async with receiver.receive_foreign(request, dialect) as (body, arrival):
                    found = _sort(translate(codec.decode(signal, body, encoding)))
                    metrics.ITEMS_FILTERED.labels("otlp", path.rpartition("/")[2]).inc(found.filtered)
                    rejected = await _publish(publisher, found, arrival)
                    metrics.BODY_BYTES.inc(len(body))
            except RequestError as error:
                return codec.refusal(error, encoding)
            reason = f"{rejected[0]}." if rejected else ""
            return codec.answer(signal, encoding, rejected=len(rejected), reason=reason)

        export.__name__ = f"export_{path.rpartition('/')[2]}"
        router.post(path, summary=f"Export {path.rpartition('/')[2]} by OTLP/HTTP", **_DOCUMENT)(export)

    route("/v1/logs", LOGS, exceptions.of_logs)
    route("/v1/metrics", METRICS, samples.of_metrics)
    route("/v1/traces", TRACES, exceptions.of_spans)
    return router


def _sort(found: Iterable[Found]) -> _Sorted:
    events: list[Error | Metric] = []
    filtered, rejected = 0, []
    for item in found:
        if item is None:
            filtered += 1
        elif isinstance(item, Unusable):
            metrics.ITEMS_REJECTED.labels(Flaw.SCHEMA).inc()
            rejected.append(str(item))
        else:
            events.append(item)
    return _Sorted(events, filtered, rejected)


async def _publish(publisher: Publisher, found: _Sorted, arrival: Arrival) -> list[str]:
    """Publish what the key may send; why the rest was rejected. Raises RateLimited, Unavailable."""
    rejected = list(found.rejected)
    admitted = admit(found.events, arrival)
    limited = len(found.events) - len(admitted)
    if limited:
        category = category_of(found.events[-1])
        if not admitted:
            refusal = arrival.rates.refusal(category)
            refusal.counted = True  # item by item
            raise refusal
        rejected += [arrival.rates.reason(category).rstrip(".")] * limited
    drafts: list[Draft] = []
    for event in admitted:
        draft = messages.of_event(event, arrival)
        if draft.message.size() <= RECORD_BYTES_MAX:
            drafts.append(draft)
        else:
            metrics.ITEMS_REJECTED.labels(Flaw.SIZE).inc()
            rejected.append("as it is written on Kafka, it is too large for a record")
    if drafts:
        try:
            await publisher.publish([draft.message for draft in drafts])
        except PublishError as error:
            unavailable = Unavailable(
                "Neither Kafka nor the spool took all of it; some may be stored.",
                retry_after_s=retry_after_s(),
            )
            raise accounts.unavailable(unavailable, len(drafts)) from error
    for draft in drafts:
        metrics.ITEMS_ACCEPTED.labels(draft.message.topic.name).inc()
    return rejected
