"""Data points become metrics, one sample each.

| Instrument | The sample |
| --- | --- |
| gauge | its value |
| sum | its value: what was added since the last export, or, with the tag `temporality=cumulative`, the total so far |
| histogram, exponential histogram, summary | the mean, with the tags `statistic=mean` and `count`; cumulative as above |

Samples within a histogram are gone before it is exported, and its buckets are not ours, so the mean is what is left
to say; exporters that are to be read here should prefer delta temporality
(`OTEL_EXPORTER_OTLP_METRICS_TEMPORALITY_PREFERENCE=delta`).
"""

import math
from collections.abc import Iterable, Iterator
from typing import Any

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest
from opentelemetry.proto.metrics.v1 import metrics_pb2 as proto

from services.ingest.otlp import attributes as attrs
from services.ingest.otlp.attributes import Origin, text
from services.ingest.otlp.identity import Identities
from shared.contracts.events import Metric

_CUMULATIVE = 2  # AGGREGATION_TEMPORALITY_CUMULATIVE
_NO_RECORDED_VALUE = 1  # DATA_POINT_FLAGS_NO_RECORDED_VALUE_MASK
_VALUE_MAX = 1e15  # of the contract


class Unusable(Exception):
    """A data point that is not a measurement that can be stored; the text says why."""


def of_metrics(request: ExportMetricsServiceRequest) -> Iterator[Metric | Unusable | None]:
    """A metric for each data point; None for each without a value, and Unusable for each that cannot be one."""
    identities = Identities()
    for group in request.resource_metrics:
        origin = attrs.origin_of(group.resource)
        for scope in group.scope_metrics:
            for metric in scope.metrics:
                for point, more in _points(metric):
                    try:
                        yield _sample(metric, point, more, origin, identities)
                    except Unusable as error:
                        yield error


def _points(metric: proto.Metric) -> Iterator[tuple[Any, dict[str, str]]]:
    """The data points of whatever instrument it is, and the tags that tell how to read them."""
    kind = metric.WhichOneof("data")
    if kind is None:
        return
    data = getattr(metric, kind)
    more = {} if kind in ("gauge", "sum") else {"statistic": "mean"}
    if getattr(data, "aggregation_temporality", 0) == _CUMULATIVE:
        more["temporality"] = "cumulative"
    points: Iterable[Any] = data.data_points
    for point in points:
        yield point, more


def _sample(
    metric: proto.Metric, point: Any, more: dict[str, str], origin: Origin, identities: Identities
) -> Metric | None:
    if point.flags & _NO_RECORDED_VALUE:
        return None
    if "statistic" in more:
        value, more = _mean(point), {**more, "count": str(point.count)}
    else:
        kind = point.WhichOneof("value")
        value = None if kind is None else float(getattr(point, kind))
    if value is None:
        return None
    name = metric.name.replace("\0", "\ufffd")
    if not 0 < len(name) <= 200:
        raise Unusable("a metric's name has 1 to 200 characters")
    if not (math.isfinite(value) and abs(value) <= _VALUE_MAX):
        raise Unusable(f"the value of {name} is not within 1e15 of 0")
    found = attrs.values(point.attributes)
    return Metric(
        id=identities.of(origin, point, name),
        timestamp=attrs.instant(point.time_unix_nano),
        page=text(found, "http.route", 512),
        url=text(found, "url.full"),
        session_id=text(found, "session.id", 64),
        release=origin.release,
        environment=origin.environment,
        tags=attrs.tags(found, **more, **origin.service),
        name=name,
        value=value,
        unit=metric.unit.replace("\0", "\ufffd")[:32],
    )


def _mean(point: Any) -> float | None:
    """None for a point without samples, or without their sum, as for those that may be negative."""
    has_sum = isinstance(point, proto.SummaryDataPoint) or point.HasField("sum")
    return point.sum / point.count if point.count and has_sum else None
