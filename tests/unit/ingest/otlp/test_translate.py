"""What Node's exporters sent, in both encodings, becomes errors and metrics, field by field."""

import contextlib
import json
import math
from pathlib import Path
from typing import Any

import msgspec
import pytest
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from services.ingest import messages
from services.ingest.otlp import codec, exceptions, samples
from services.ingest.otlp.codec import Encoding, Signal
from services.ingest.otlp.routes import LOGS, METRICS, TRACES
from services.ingest.otlp.samples import Unusable
from shared.contracts.events import Error, Metric
from shared.errors import RequestError
from tests.unit.ingest.doubles import ARRIVAL

FOLDER = Path(__file__).with_name("recorded")
TRANSLATE: dict[str, Any] = {
    "Logs": exceptions.of_logs,
    "Metrics": samples.of_metrics,
    "Trace": exceptions.of_spans,
}
SIGNALS = [LOGS, METRICS, TRACES]
SUFFIX = {Encoding.PROTOBUF: "pb", Encoding.JSON: "json"}


def translate(signal: Signal[Any], body: bytes, encoding: Encoding) -> list[Any]:
    return list(TRANSLATE[signal.name](codec.decode(signal, body, encoding)))


def recorded(signal: Signal[Any], encoding: Encoding) -> bytes:
    name = {"Logs": "logs", "Metrics": "metrics", "Trace": "traces"}[signal.name]
    return (FOLDER / f"node-{name}.{SUFFIX[encoding]}").read_bytes()


each_encoding = pytest.mark.parametrize("encoding", list(Encoding))


@each_encoding
def test_a_log_record_with_an_exception_is_an_error_and_one_without_is_filtered(encoding: Encoding) -> None:
    hello, found = translate(LOGS, recorded(LOGS, encoding), encoding)
    assert hello is None
    assert isinstance(found, Error)
    assert (found.exception_type, found.message, found.level) == (
        "OutOfStock",
        "item 7 is out of stock",
        "error",
    )
    assert found.stack.startswith("OutOfStock: item 7 is out of stock\n    at file:///srv/shop/")
    assert (found.release, found.environment) == ("4.12.0", "ci")
    assert found.tags["service.name"].startswith("checkout-")
    assert found.timestamp is not None
    assert found.timestamp.year == 2026


@each_encoding
def test_an_exception_that_a_span_recorded_is_an_error_of_its_trace(encoding: Encoding) -> None:
    [found] = translate(TRACES, recorded(TRACES, encoding), encoding)
    assert (found.exception_type, found.page, found.transaction) == (
        "OutOfStock",
        "/items/:id",
        "GET /items/:id",
    )
    trace = found.contexts["trace"]
    assert (len(trace["trace_id"]), len(trace["span_id"])) == (32, 16)
    assert found.contexts["resource"]["service.version"] == "4.12.0"


@each_encoding
def test_data_points_are_samples(encoding: Encoding) -> None:
    orders, depth, duration = translate(METRICS, recorded(METRICS, encoding), encoding)
    assert (orders.name, orders.value, orders.unit, orders.page) == ("orders", 3, "{order}", "/orders")
    assert orders.tags["temporality"] == "cumulative"
    assert (depth.name, depth.value, depth.tags.get("temporality")) == ("queue.depth", 12.5, None)
    assert (duration.value, duration.unit) == (pytest.approx(0.3), "s")
    assert (duration.tags["statistic"], duration.tags["count"]) == ("mean", "2")
    assert (duration.release, duration.environment) == ("4.12.0", "ci")


@each_encoding
def test_a_request_sent_again_has_the_same_ids_and_twins_in_it_have_their_own(encoding: Encoding) -> None:
    body = recorded(LOGS, encoding)
    assert translate(LOGS, body, encoding) == translate(LOGS, body, encoding)
    if encoding is Encoding.PROTOBUF:  # messages that follow each other are one: their lists are joined
        twins = [error.id for error in translate(LOGS, body + body, encoding) if error]
        assert len(set(twins)) == 2


@given(st.binary(max_size=300), st.sampled_from(SIGNALS), st.sampled_from(list(Encoding)))
def test_any_bytes_are_a_request_or_a_refusal(body: bytes, signal: Signal[Any], encoding: Encoding) -> None:
    with contextlib.suppress(RequestError):
        translate(signal, body, encoding)


@given(st.data(), st.sampled_from(SIGNALS), st.sampled_from(list(Encoding)))
def test_a_recorded_request_with_a_byte_changed_is_one_too(
    data: st.DataObject, signal: Signal[Any], encoding: Encoding
) -> None:
    body = bytearray(recorded(signal, encoding))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RequestError):
        for event in translate(signal, bytes(body), encoding):
            if isinstance(event, Error | Metric):
                message = messages.of_event(event, ARRIVAL).message
                msgspec.json.decode(message.value, type=message.topic.payload)


def request_of(metric: dict[str, Any]) -> bytes:
    return json.dumps({"resourceMetrics": [{"scopeMetrics": [{"metrics": [metric]}]}]}).encode()


def sample(metric: dict[str, Any]) -> Any:
    [found] = translate(METRICS, request_of(metric), Encoding.JSON)
    return found


def test_a_delta_and_numbers_as_texts() -> None:
    point = {"asInt": "7", "timeUnixNano": "1795475690000000000", "attributes": []}
    found = sample({"name": "n", "sum": {"aggregationTemporality": 1, "dataPoints": [point]}})
    assert (found.value, found.tags) == (7, {})


@pytest.mark.parametrize("value", [1e300, -1e16])
def test_a_value_that_cannot_be_stored_is_rejected_with_a_reason(value: float) -> None:
    found = sample({"name": "n", "gauge": {"dataPoints": [{"asDouble": value}]}})
    assert isinstance(found, Unusable)
    assert "n" in str(found)


@pytest.mark.parametrize("value", [math.nan, math.inf])
def test_so_is_one_that_is_no_number(value: float) -> None:
    request = ExportMetricsServiceRequest()
    metric = request.resource_metrics.add().scope_metrics.add().metrics.add(name="n")
    metric.gauge.data_points.add(as_double=value)
    [found] = translate(METRICS, request.SerializeToString(), Encoding.PROTOBUF)
    assert isinstance(found, Unusable)


@pytest.mark.parametrize(
    "metric",
    [
        {"name": "n", "gauge": {"dataPoints": [{"flags": 1, "asDouble": 0}]}},
        {"name": "n", "gauge": {"dataPoints": [{}]}},
        {"name": "n", "histogram": {"dataPoints": [{"count": 0, "sum": 0}]}},
        {"name": "n", "exponentialHistogram": {"dataPoints": [{"count": 3}]}},
    ],
    ids=str,
)
def test_a_point_without_a_value_is_filtered(metric: dict[str, Any]) -> None:
    assert sample(metric) is None


def test_a_summary_has_a_mean() -> None:
    found = sample({"name": "n", "summary": {"dataPoints": [{"count": 4, "sum": 2}]}})
    assert (found.value, found.tags) == (0.5, {"statistic": "mean", "count": "4"})


@each_encoding
def test_attributes_of_every_kind_are_kept_as_json_can_hold_them(encoding: Encoding) -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add(severity_number=24)
    record.attributes.add(key="exception.type").value.string_value = "E\0"
    record.attributes.add(key="flag").value.bool_value = True
    record.attributes.add(key="ratio").value.double_value = math.nan
    record.attributes.add(key="raw").value.bytes_value = b"\x01\xff"
    deep = record.attributes.add(key="deep").value
    for _ in range(40):
        deep = deep.array_value.values.add()
    body = json_of(request) if encoding is Encoding.JSON else request.SerializeToString()
    [found] = translate(LOGS, body, encoding)
    about = found.contexts["attributes"]
    assert (found.level, found.exception_type, about["flag"], about["ratio"]) == (
        "fatal",
        "E\ufffd",
        True,
        None,
    )
    assert str(about["deep"]).count("[") == 29
    assert about["raw"] == ("01ff" if encoding is Encoding.PROTOBUF else "Af8=")


def test_attributes_beyond_all_measure_are_left_out() -> None:
    request = ExportLogsServiceRequest()
    record = request.resource_logs.add().scope_logs.add().log_records.add()
    record.attributes.add(key="exception.type").value.string_value = "E"
    wide = record.attributes.add(key="wide").value
    for _ in range(100_000):
        wide.array_value.values.add(int_value=1)
    for number in range(1_000):
        record.attributes.add(key=str(number)).value.int_value = number
    [found] = translate(LOGS, request.SerializeToString(), Encoding.PROTOBUF)
    assert len(found.contexts["attributes"]) == 127
    assert len(found.contexts["attributes"]["wide"]) < 1_000


def json_of(request: Message) -> bytes:
    from google.protobuf import json_format

    return json_format.MessageToJson(request, use_integers_for_enums=True).encode()


def test_nothing_nests_so_deeply_that_it_breaks_us() -> None:
    value = '{"arrayValue":{"values":[' * 20_000
    body = (
        '{"resourceLogs":[{"scopeLogs":[{"logRecords":[{"body":%s' % value  # noqa: UP031 - braces everywhere
    )
    with pytest.raises(RequestError):
        translate(LOGS, body.encode(), Encoding.JSON)
