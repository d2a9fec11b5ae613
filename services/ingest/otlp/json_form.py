"""OTLP's JSON, as far as it is read here: types with the attributes of the generated protobuf classes.

It is protobuf's JSON mapping but for ids, which are hexadecimal, and not base64 (opentelemetry-proto, "JSON Protobuf
Encoding"). That, and speed, is why protobuf's own JSON parser does not do. What translates a request reads `a.b_c`,
`HasField` and `WhichOneof`, and so cannot tell the two forms apart. 64-bit numbers may come as texts.
"""

from typing import ClassVar

from msgspec import Struct


class _Message(Struct, rename="camel", frozen=True):
    #: The fields of which at most one is set.
    ONE_OF: ClassVar[tuple[str, ...]] = ()

    def WhichOneof(self, _: str) -> str | None:
        """The name of the one that is set."""
        return next((name for name in self.ONE_OF if getattr(self, name) is not None), None)

    def HasField(self, name: str) -> bool:
        """Whether an optional field is set."""
        return getattr(self, name) is not None


class AnyValue(_Message, frozen=True):
    ONE_OF: ClassVar[tuple[str, ...]] = (
        "string_value",
        "bool_value",
        "int_value",
        "double_value",
        "bytes_value",
        "array_value",
        "kvlist_value",
    )
    string_value: str | None = None
    bool_value: bool | None = None
    int_value: int | None = None
    double_value: float | None = None
    bytes_value: str | None = None
    array_value: "ArrayValue | None" = None
    kvlist_value: "KeyValueList | None" = None


class ArrayValue(_Message, frozen=True):
    values: list[AnyValue] = []


class KeyValue(_Message, frozen=True):
    key: str = ""
    value: AnyValue = AnyValue()


class KeyValueList(_Message, frozen=True):
    values: list[KeyValue] = []


class Resource(_Message, frozen=True):
    attributes: list[KeyValue] = []


class LogRecord(_Message, frozen=True):
    time_unix_nano: int = 0
    observed_time_unix_nano: int = 0
    severity_number: int = 0
    body: AnyValue = AnyValue()
    attributes: list[KeyValue] = []
    trace_id: str = ""
    span_id: str = ""


class ScopeLogs(_Message, frozen=True):
    log_records: list[LogRecord] = []


class ResourceLogs(_Message, frozen=True):
    resource: Resource = Resource()
    scope_logs: list[ScopeLogs] = []


class LogsRequest(_Message, frozen=True):
    resource_logs: list[ResourceLogs] = []


class SpanEvent(_Message, frozen=True):
    time_unix_nano: int = 0
    name: str = ""
    attributes: list[KeyValue] = []


class Span(_Message, frozen=True):
    trace_id: str = ""
    span_id: str = ""
    name: str = ""
    attributes: list[KeyValue] = []
    events: list[SpanEvent] = []


class ScopeSpans(_Message, frozen=True):
    spans: list[Span] = []


class ResourceSpans(_Message, frozen=True):
    resource: Resource = Resource()
    scope_spans: list[ScopeSpans] = []


class TraceRequest(_Message, frozen=True):
    resource_spans: list[ResourceSpans] = []


class NumberDataPoint(_Message, frozen=True):
    ONE_OF: ClassVar[tuple[str, ...]] = ("as_double", "as_int")
    attributes: list[KeyValue] = []
    time_unix_nano: int = 0
    as_double: float | None = None
    as_int: int | None = None
    flags: int = 0


class Distribution(_Message, frozen=True):
    """A point of a histogram, of either kind, or of a summary."""

    attributes: list[KeyValue] = []
    time_unix_nano: int = 0
    count: int = 0
    sum: float | None = None
    min: float | None = None
    max: float | None = None
    flags: int = 0


class Gauge(_Message, frozen=True):
    data_points: list[NumberDataPoint] = []


class Sum(_Message, frozen=True):
    data_points: list[NumberDataPoint] = []
    aggregation_temporality: int = 0


class Histogram(_Message, frozen=True):
    data_points: list[Distribution] = []
    aggregation_temporality: int = 0


class Summary(_Message, frozen=True):
    data_points: list[Distribution] = []


class Metric(_Message, frozen=True):
    ONE_OF: ClassVar[tuple[str, ...]] = ("gauge", "sum", "histogram", "exponential_histogram", "summary")
    name: str = ""
    unit: str = ""
    gauge: Gauge | None = None
    sum: Sum | None = None
    histogram: Histogram | None = None
    exponential_histogram: Histogram | None = None
    summary: Summary | None = None


class ScopeMetrics(_Message, frozen=True):
    metrics: list[Metric] = []


class ResourceMetrics(_Message, frozen=True):
    resource: Resource = Resource()
    scope_metrics: list[ScopeMetrics] = []


class MetricsRequest(_Message, frozen=True):
    resource_metrics: list[ResourceMetrics] = []
