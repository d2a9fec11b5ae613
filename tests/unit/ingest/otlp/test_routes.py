"""OTLP/HTTP as its specification wants it answered, in the encoding of the request."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import msgspec
import pytest
from google.rpc.status_pb2 import Status
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceResponse
from prometheus_client import REGISTRY

from services.ingest.rates import Category
from shared.metrics import hand_over
from tests.unit.ingest.doubles import PUBLIC, MemoryPublisher, client
from tests.unit.ingest.otlp.test_translate import FOLDER, request_of

PATHS = ["/v1/logs", "/v1/metrics", "/v1/traces"]
PROTOBUF = {"Content-Type": "application/x-protobuf"}
JSON = {"Content-Type": "application/json; charset=utf-8"}
POINTS = [{"asDouble": 1, "timeUnixNano": 1}, {"asDouble": 2, "timeUnixNano": 2}]
GAUGE = {"name": "depth", "gauge": {"dataPoints": POINTS}}


def recorded(path: str, suffix: str) -> bytes:
    return (FOLDER / f"node-{path.rpartition('/')[2]}.{suffix}").read_bytes()


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
async def http(publisher: MemoryPublisher) -> AsyncIterator[httpx.AsyncClient]:
    async with client(publisher) as http:
        yield http


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(("headers", "suffix", "answer"), [(PROTOBUF, "pb", b""), (JSON, "json", b"{}")])
async def test_what_exporters_send_is_answered_in_its_own_encoding(
    http: httpx.AsyncClient,
    publisher: MemoryPublisher,
    path: str,
    headers: dict[str, str],
    suffix: str,
    answer: bytes,
) -> None:
    response = await http.post(path, headers=headers, content=recorded(path, suffix))
    assert (response.status_code, response.content) == (200, answer)
    assert response.headers["content-type"] == headers["Content-Type"].partition(";")[0]
    assert publisher.messages
    for message in publisher.messages:
        assert msgspec.json.decode(message.value, type=message.topic.payload).source == "otlp"


async def test_gzip_and_the_public_key_in_the_query(publisher: MemoryPublisher) -> None:
    async with client(publisher, key="") as http:
        response = await http.post(
            f"/v1/logs?key={PUBLIC}",
            headers={**PROTOBUF, "Content-Encoding": "gzip"},
            content=gzip.compress(recorded("/v1/logs", "pb")),
        )
    assert (response.status_code, len(publisher.messages)) == (200, 1)


async def test_what_has_no_place_is_counted_as_filtered(http: httpx.AsyncClient) -> None:
    def filtered() -> float:
        labels = {"protocol": "otlp", "type": "logs"}
        return REGISTRY.get_sample_value("signalbox_ingest_items_filtered_total", labels) or 0

    before = filtered()
    await http.post("/v1/logs", headers=JSON, content=recorded("/v1/logs", "json"))
    assert filtered() - before == 1


def refused(response: httpx.Response, status: int, code: int) -> str:
    """The reason, out of a google.rpc.Status in the encoding of the request."""
    assert response.status_code == status, response.content
    if response.headers["content-type"] == "application/x-protobuf":
        said = Status.FromString(response.content)
        assert said.code == code
        return str(said.message)
    found = response.json()
    assert found["code"] == code
    return str(found["message"])


@pytest.mark.parametrize("path", PATHS)
@pytest.mark.parametrize(
    ("headers", "body", "status", "code"),
    [
        (PROTOBUF, b"\xff\xff", 400, 3),
        (JSON, b"{", 400, 3),
        (JSON, b'{"resourceLogs": 7, "resourceMetrics": 7, "resourceSpans": 7}', 400, 3),
        (JSON, b"", 400, 3),
        (PROTOBUF, b"\x00" * 5_000_000, 413, 8),
        ({"Content-Type": "text/plain"}, b"{}", 415, 3),
        ({**JSON, "Content-Encoding": "lzma"}, b"{}", 415, 3),
    ],
    ids=lambda value: str(value)[:40],
)
async def test_a_refusal_is_a_status_message(
    http: httpx.AsyncClient, path: str, headers: dict[str, str], body: bytes, status: int, code: int
) -> None:
    assert refused(await http.post(path, headers=headers, content=body), status, code)


@pytest.mark.parametrize("headers", [PROTOBUF, JSON])
async def test_a_key_is_needed(publisher: MemoryPublisher, headers: dict[str, str]) -> None:
    async with client(publisher, key="") as http:
        assert "key" in refused(await http.post("/v1/logs", headers=headers, content=b"{}"), 401, 16)


@pytest.mark.parametrize(("headers", "suffix"), [(PROTOBUF, "pb"), (JSON, "json")])
async def test_when_nothing_can_be_stored_the_exporter_is_to_come_back(
    http: httpx.AsyncClient, publisher: MemoryPublisher, headers: dict[str, str], suffix: str
) -> None:
    publisher.away = True
    response = await http.post("/v1/traces", headers=headers, content=recorded("/v1/traces", suffix))
    refused(response, 503, 14)
    assert 1 <= int(response.headers["retry-after"]) <= 5


async def test_every_item_is_counted_once(publisher: MemoryPublisher) -> None:
    """sent = accepted + rejected + limited + filtered + dropped + unavailable, over requests of every fate."""
    points = [*POINTS, {"asDouble": 1e300}, {"flags": 1}, {"asDouble": 3}]
    body = request_of({"name": "depth", "gauge": {"dataPoints": points}})
    async with client(publisher, rate_limits_per_minute={Category.METRIC: 2}) as http:
        before = accounts()
        statuses = [
            (await http.post("/v1/metrics", headers=JSON, content=body)).status_code for _ in range(2)
        ]
    async with client(publisher) as http:
        publisher.away = True
        statuses.append((await http.post("/v1/metrics", headers=JSON, content=body)).status_code)
    assert statuses == [200, 429, 503]
    counted = {name: now - before.get(name, 0) for name, now in accounts().items()}
    assert {name: count for name, count in counted.items() if count} == {
        "accepted": 2,
        "rejected": 3,
        "filtered": 3,
        "limited": 1 + 3,
        "unavailable": 3,
    }


def accounts() -> dict[str, float]:
    """What became of items so far, whatever the labels."""
    hand_over()
    found: dict[str, float] = {}
    for family in REGISTRY.collect():
        for sample in family.samples:
            name = sample.name.removeprefix("signalbox_ingest_items_")
            if name != sample.name and name.endswith("_total"):
                found[name.removesuffix("_total")] = found.get(name.removesuffix("_total"), 0) + sample.value
    return found


async def test_what_cannot_be_a_metric_is_a_partial_success(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    points = [*POINTS, {"asDouble": 1e300}]
    body = request_of({"name": "depth", "gauge": {"dataPoints": points}})
    response = await http.post("/v1/metrics", headers=JSON, content=body)
    assert response.json() == {
        "partialSuccess": {
            "rejectedDataPoints": "1",
            "errorMessage": "the value of depth is not within 1e15 of 0.",
        }
    }
    assert len(publisher.messages) == 2


async def test_over_its_limit_a_key_is_told_how_much_was_taken_and_then_to_come_back(
    publisher: MemoryPublisher,
) -> None:
    body = request_of(GAUGE)
    async with client(publisher, rate_limits_per_minute={Category.METRIC: 1}) as http:
        partly = await http.post("/v1/metrics", headers=JSON, content=body)
        not_at_all = await http.post("/v1/metrics", headers=JSON, content=body)
    assert partly.json()["partialSuccess"]["rejectedDataPoints"] == "1"
    refused(not_at_all, 429, 8)
    assert int(not_at_all.headers["retry-after"]) > 0
    assert len(publisher.messages) == 1


@pytest.mark.parametrize("path", PATHS)
async def test_millions_of_empty_parts_are_refused_before_they_are_read(
    http: httpx.AsyncClient, path: str
) -> None:
    items = b"\x12\x00" * 1_000_000  # two bytes each: a field's number and its length
    scope = b"\x12" + varint(len(items)) + items
    body = b"\x0a" + varint(len(scope)) + scope
    assert "more than" in refused(await http.post(path, headers=PROTOBUF, content=body), 413, 8)
    resources = b"\x0a\x00" * 1_000_000
    refused(await http.post(path, headers=PROTOBUF, content=resources), 413, 8)


def varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


async def test_a_partial_success_in_protobuf(http: httpx.AsyncClient) -> None:
    from google.protobuf import json_format
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

    metric = {"name": "", "gauge": {"dataPoints": POINTS}}
    request = json_format.ParseDict(json.loads(request_of(metric)), ExportMetricsServiceRequest())
    response = await http.post("/v1/metrics", headers=PROTOBUF, content=request.SerializeToString())
    partial = ExportMetricsServiceResponse.FromString(response.content).partial_success
    assert (partial.rejected_data_points, bool(partial.error_message)) == (2, True)


async def test_pages_may_export_too(http: httpx.AsyncClient) -> None:
    asked: dict[str, Any] = {"Origin": "https://app.test", "Access-Control-Request-Headers": "authorization"}
    assert (await http.options("/v1/traces", headers=asked)).status_code == 204
