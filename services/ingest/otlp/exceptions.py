"""Exceptions become errors: log records and span events with `exception.*` attributes (semantic conventions)."""

from collections.abc import Iterator, Mapping
from typing import Any

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.ingest.otlp import attributes as attrs
from services.ingest.otlp.attributes import Origin, text
from services.ingest.otlp.identity import Identities
from shared.contracts.events import Error, Level

_TYPE, _MESSAGE, _STACK, _ESCAPED = (
    f"exception.{name}" for name in ("type", "message", "stacktrace", "escaped")
)
#: The least severity number of each level, the highest first (logs data model, "SeverityNumber").
_LEVELS: tuple[tuple[int, Level], ...] = (
    (21, "fatal"),
    (17, "error"),
    (13, "warning"),
    (9, "info"),
    (1, "debug"),
)


def of_logs(request: ExportLogsServiceRequest) -> Iterator[Error | None]:
    """An error for each log record that has an exception; None for each that has none."""
    identities = Identities()
    for group in request.resource_logs:
        origin = attrs.origin_of(group.resource)
        for scope in group.scope_logs:
            for record in scope.log_records:
                found = attrs.values(record.attributes)
                if not _is_exception(found):
                    yield None
                    continue
                body = attrs.plain(record.body)
                yield _error(
                    found,
                    origin,
                    id=identities.of(origin, record),
                    nanoseconds=record.time_unix_nano or record.observed_time_unix_nano,
                    trace=(record.trace_id, record.span_id),
                    level=_level(record.severity_number),
                    fallback=body if isinstance(body, str) else "",
                )


def of_spans(request: ExportTraceServiceRequest) -> Iterator[Error | None]:
    """An error for each exception that a span has recorded; None for each span without one."""
    identities = Identities()
    for group in request.resource_spans:
        origin = attrs.origin_of(group.resource)
        for scope in group.scope_spans:
            for span in scope.spans:
                events = [(event, attrs.values(event.attributes)) for event in span.events]
                exceptions = [(event, found) for event, found in events if _is_exception(found)]
                if not exceptions:
                    yield None
                    continue
                about = attrs.values(span.attributes)
                for event, found in exceptions:
                    yield _error(
                        {**about, **found},
                        origin,
                        id=identities.of(origin, event, attrs.hexadecimal(span.span_id)),
                        nanoseconds=event.time_unix_nano,
                        trace=(span.trace_id, span.span_id),
                        level="error",
                        transaction=span.name,
                    )


def _error(
    found: Mapping[str, Any],
    origin: Origin,
    *,
    id: str,
    nanoseconds: int,
    trace: tuple[bytes, bytes],
    level: Level,
    fallback: str = "",
    transaction: str = "",
) -> Error:
    trace_id, span_id = (attrs.hexadecimal(part) for part in trace)
    rest = {name: value for name, value in found.items() if not name.startswith("exception.")}
    contexts = {
        "trace": {"trace_id": trace_id, "span_id": span_id} if trace_id else {},
        "attributes": rest,
        "resource": origin.attributes,
    }
    return Error(
        id=id,
        timestamp=attrs.instant(nanoseconds),
        session_id=text(found, "session.id", 64),
        url=text(found, "url.full"),
        page=text(found, "http.route", 512),
        release=origin.release,
        environment=origin.environment,
        tags=origin.service,
        message=text(found, _MESSAGE) or fallback or text(found, _TYPE) or "(no message)",
        exception_type=text(found, _TYPE, 200) or "Error",
        stack=text(found, _STACK),
        handled=text(found, _ESCAPED).lower() != "true",
        level=level,
        user=text(found, "user.id", 200) or text(found, "enduser.id", 200),
        contexts={name: value for name, value in contexts.items() if value},
        transaction=transaction.replace("\0", "\ufffd")[:512],
        server_name=origin.server_name,
        runtime=origin.runtime,
    )


def _is_exception(found: Mapping[str, Any]) -> bool:
    return bool(text(found, _TYPE) or text(found, _MESSAGE))


def _level(severity: int) -> Level:
    return next((level for least, level in _LEVELS if severity >= least), "error")
