"""The Sentry protocol over HTTP: keys, encodings, answers and limits, as SDKs need them."""

import asyncio
import base64
import gzip
import json
import zlib
from collections.abc import AsyncIterator, Sequence
from typing import Any

import brotli
import httpx
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.ingest.publisher import Durability, Message
from services.ingest.rates import Category
from tests.unit.ingest.doubles import PUBLIC, SECRET, MemoryPublisher, client
from tests.unit.ingest.sentry.recordings import NAMES, recorded

ENVELOPE = "/api/shop/envelope/"
KEY = {"sentry_key": PUBLIC}
ID = "12c2d058d58442709aa2eca08bf20986"
EVENT = {"event_id": ID, "exception": {"values": [{"type": "KeyError", "value": "no"}]}, "level": "error"}


def envelope(*items: tuple[str, Any], **headers: str) -> bytes:
    parts = [json.dumps(headers or {"event_id": ID})]
    for type, payload in items:
        parts += [json.dumps({"type": type}), json.dumps(payload)]
    return "\n".join(parts).encode()


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


@pytest.fixture
async def http(publisher: MemoryPublisher) -> AsyncIterator[httpx.AsyncClient]:
    async with client(publisher, key="") as http:
        yield http


def records(publisher: MemoryPublisher) -> list[dict[str, Any]]:
    return [msgspec.json.decode(message.value) for message in publisher.messages]


@pytest.mark.parametrize("name", NAMES)
async def test_what_sdks_send_is_answered_200_with_its_id(
    http: httpx.AsyncClient, publisher: MemoryPublisher, name: str
) -> None:
    body = recorded(name)
    response = await http.post(ENVELOPE, params=KEY, content=body)
    sent = json.loads(body.partition(b"\n")[0]).get("event_id")
    assert (response.status_code, response.json()) == (200, {"id": sent} if sent else {})
    for message in publisher.messages:
        envelope = msgspec.json.decode(message.value, type=message.topic.payload)
        assert (envelope.source, envelope.project) == ("sentry", "shop")


@pytest.mark.parametrize(
    ("query", "headers"),
    [
        ({"sentry_key": PUBLIC, "sentry_version": "7"}, {}),
        ({}, {"X-Sentry-Auth": f"Sentry sentry_key={PUBLIC}, sentry_version=7, sentry_client=raven/6"}),
        ({}, {"X-Sentry-Auth": f"sentry sentry_version=7,sentry_key={PUBLIC},sentry_secret=x"}),
        ({}, {"Authorization": f"Sentry sentry_key={PUBLIC}"}),
        ({}, {"Authorization": f"Bearer {SECRET}"}),
        ({}, {"Authorization": "Basic " + base64.b64encode(f"{PUBLIC}:".encode()).decode()}),
        ({"sentry_key": SECRET}, {"X-Sentry-Auth": ""}),
    ],
    ids=str,
)
async def test_the_key_is_taken_from_wherever_a_client_shows_it(
    http: httpx.AsyncClient, publisher: MemoryPublisher, query: dict[str, str], headers: dict[str, str]
) -> None:
    response = await http.post(ENVELOPE, params=query, headers=headers, content=envelope(("event", EVENT)))
    assert (response.status_code, len(publisher.messages)) == (200, 1)


async def test_through_a_tunnel_the_key_is_in_the_envelope(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    body = envelope(("event", EVENT), dsn=f"https://{PUBLIC}@errors.example.com/shop")
    assert (await http.post(ENVELOPE, content=body)).status_code == 200
    for stranger in ("https://nobodys@errors.example.com/shop", "https://[", ""):
        refused = await http.post(ENVELOPE, content=envelope(("event", EVENT), dsn=stranger))
        assert refused.status_code == 401
        assert refused.headers["x-sentry-error"]
    assert len(publisher.messages) == 1


@given(
    st.sampled_from(["X-Sentry-Auth", "Authorization", "Content-Encoding", "User-Agent", "traceparent"]),
    st.sampled_from([b"", b"Sentry sentry_key=", b"Basic ", b"Bearer "]),
    st.binary(max_size=20).filter(lambda value: not set(value) & {0, 10, 13}),
)
async def test_no_header_is_a_defect_of_ours(name: str, scheme: bytes, value: bytes) -> None:
    async with client(MemoryPublisher(), key="") as http:
        response = await http.post(ENVELOPE, headers={name.encode(): (scheme + value).strip()}, content=b"{}")
    assert response.status_code in (401, 415)


async def test_the_dsn_names_the_project_of_its_key(http: httpx.AsyncClient) -> None:
    response = await http.post("/api/7/envelope/", params=KEY, content=envelope(("event", EVENT)))
    assert response.status_code == 403


@pytest.mark.parametrize(
    ("encoding", "encode"),
    [
        ("gzip", gzip.compress),
        ("deflate", zlib.compress),
        ("deflate", lambda body: zlib.compress(body)[2:-4]),
        ("br", brotli.compress),
        ("zstd", zstandard.compress),
    ],
)
async def test_bodies_come_compressed(
    http: httpx.AsyncClient, publisher: MemoryPublisher, encoding: str, encode: Any
) -> None:
    headers = {"Content-Encoding": encoding, "Content-Type": "text/plain;charset=UTF-8"}
    response = await http.post(
        ENVELOPE, params=KEY, headers=headers, content=encode(recorded("node-11-exception"))
    )
    assert (response.status_code, len(publisher.messages)) == (200, 1)


async def test_a_bomb_is_refused(http: httpx.AsyncClient) -> None:
    body = gzip.compress(b'{}\n{"type":"attachment"}\n' + b"x" * 50_000_000)
    response = await http.post(ENVELOPE, params=KEY, headers={"Content-Encoding": "gzip"}, content=body)
    assert response.status_code == 413


@pytest.mark.parametrize("path", ["/api/shop/envelope", "/api/shop/envelope/"])
async def test_chunks_without_a_length_and_a_slash_or_none(
    http: httpx.AsyncClient, publisher: MemoryPublisher, path: str
) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for byte in envelope(("event", EVENT)):
            yield bytes([byte])

    response = await http.post(path, params=KEY, content=chunks())
    assert (response.status_code, response.json()) == (200, {"id": ID})
    assert [record["id"] for record in records(publisher)] == [ID]


async def test_an_envelope_of_nothing_but_trouble_is_answered_200_and_counted(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    def counted() -> tuple[float | None, ...]:
        name = "signalbox_ingest_items_filtered_total"
        return (
            REGISTRY.get_sample_value(name, {"protocol": "sentry", "type": "session"}),
            REGISTRY.get_sample_value(name, {"protocol": "sentry", "type": "other"}),
            REGISTRY.get_sample_value("signalbox_ingest_items_rejected_total", {"flaw": "json"}),
            REGISTRY.get_sample_value(
                "signalbox_ingest_client_discarded_total",
                {"reason": "ratelimit_backoff", "category": "error"},
            ),
        )

    before = counted()
    lost = {"reason": "ratelimit_backoff", "category": "error", "quantity": 3}
    body = envelope(("session", {}), ("no_such", {}), ("client_report", {"discarded_events": [lost]}))
    response = await http.post(ENVELOPE, params=KEY, content=body + b'\n{"type":"event"}\n{')
    assert (response.status_code, publisher.messages) == (200, [])
    assert [now - (then or 0) for now, then in zip(counted(), before, strict=True) if now] == [1, 1, 1, 3]


async def test_a_client_that_does_not_retry_is_never_told_that_kafka_is_away(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    publisher.away = True
    response = await http.post(ENVELOPE, params=KEY, content=envelope(("event", EVENT)))
    assert (response.status_code, response.json()) == (200, {"id": ID})


async def test_the_clients_clock_is_corrected_by_when_it_sent(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    event = {**EVENT, "timestamp": "2026-11-23T09:59:50Z"}
    body = envelope(("event", event), event_id=ID, sent_at="2026-11-23T10:00:00Z")
    await http.post(ENVELOPE, params=KEY, content=body)
    assert records(publisher)[0]["occurred_at"] == "2026-11-23T11:59:50Z"


async def test_over_its_limit_a_client_is_told_by_category_and_the_rest_is_taken(
    publisher: MemoryPublisher,
) -> None:
    transaction = {"start_timestamp": 1, "timestamp": 2, "transaction": "/"}
    async with client(publisher, key="", rate_limits_per_minute={Category.ERROR: 1}) as http:
        first = await http.post(ENVELOPE, params=KEY, content=envelope(("event", EVENT)))
        second = await http.post(
            ENVELOPE, params=KEY, content=envelope(("event", EVENT), ("transaction", transaction))
        )
    assert first.status_code == second.status_code == 200
    assert [record["data"]["type"] for record in records(publisher)] == ["error", "metric"]
    for response in (first, second):
        seconds, categories, scope = response.headers["x-sentry-rate-limits"].split(":")
        assert 0 < int(seconds) <= 60
        assert (categories, scope) == ("default;error;security", "key")


async def test_a_key_over_its_requests_is_answered_429_for_every_category(publisher: MemoryPublisher) -> None:
    async with client(publisher, key="", rate_limits_per_minute={Category.REQUEST: 1}) as http:
        await http.post(ENVELOPE, params=KEY, content=envelope(("event", EVENT)))
        refused = await http.post(ENVELOPE, params=KEY, content=envelope(("event", EVENT)))
    assert refused.status_code == 429
    assert refused.headers["x-sentry-rate-limits"] == f"{refused.headers['retry-after']}::key"


async def test_while_too_much_is_in_work_clients_are_asked_to_wait(publisher: MemoryPublisher) -> None:
    class Slow(MemoryPublisher):
        reached, released = asyncio.Event(), asyncio.Event()

        async def offer(self, messages: Sequence[Message]) -> Durability | None:
            self.reached.set()
            await self.released.wait()
            return await super().offer(messages)

    slow = Slow()
    body = recorded("node-11-exception")
    async with client(slow, key="", in_flight_bytes_max=2_000) as http:
        waiting = asyncio.create_task(http.post(ENVELOPE, params=KEY, content=body))
        await slow.reached.wait()
        refused = await http.post(ENVELOPE, params=KEY, content=body)
        slow.released.set()
        assert (await waiting).status_code == 200
    assert refused.status_code == 503
    assert refused.headers["x-sentry-rate-limits"] == f"{refused.headers['retry-after']}::key"


@pytest.mark.parametrize("path", ["/api/shop/envelope/", "/api/shop/envelope", "/api/shop/store/"])
async def test_pages_of_any_origin_may_call_and_read_the_limits(http: httpx.AsyncClient, path: str) -> None:
    asked = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "x-sentry-auth, content-type",
    }
    allowed = await http.options(path, headers=asked)
    answered = await http.post(path, params=KEY, content=b"{}", headers={"Origin": "https://app.example.com"})
    assert allowed.status_code == 204
    assert "x-sentry-auth" in allowed.headers["access-control-allow-headers"]
    assert answered.headers["access-control-allow-origin"] == "*"
    exposed = answered.headers["access-control-expose-headers"].lower().split(", ")
    assert {"x-sentry-rate-limits", "retry-after"} <= set(exposed)


@pytest.mark.parametrize(
    "encode",
    [
        lambda body: body,
        base64.b64encode,
        lambda body: base64.b64encode(zlib.compress(body)),
    ],
)
async def test_store_takes_json_plain_or_packed_as_raven_packs_it(
    http: httpx.AsyncClient, publisher: MemoryPublisher, encode: Any
) -> None:
    headers = {
        "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_key={PUBLIC}",
        "Content-Type": "application/octet-stream",
    }
    response = await http.post(
        "/api/shop/store/", headers=headers, content=encode(json.dumps(EVENT).encode())
    )
    assert (response.status_code, response.json()) == (200, {"id": ID})
    [record] = records(publisher)
    assert (record["id"], record["source"], record["data"]["exception_type"]) == (ID, "sentry", "KeyError")


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"no JSON", 400),
        (b"{", 400),
        (base64.b64encode(b"no zlib"), 400),
        (base64.b64encode(zlib.compress(b"x" * 20_000_000)), 413),
        (b"", 400),
    ],
)
async def test_store_refuses_what_is_no_event(http: httpx.AsyncClient, body: bytes, status: int) -> None:
    response = await http.post("/api/shop/store/", params=KEY, content=body)
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"


async def test_an_event_sent_twice_has_one_id(http: httpx.AsyncClient, publisher: MemoryPublisher) -> None:
    for _ in range(2):
        await http.post(ENVELOPE, params=KEY, content=recorded("browser-8-pageload"))
    ids = [record["id"] for record in records(publisher)]
    assert len(set(ids)) == len(ids) // 2


async def test_secrets_in_frames_and_messages_are_taken_out(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    frame = {"function": "pay", "vars": {"password": "hunter2", "n": 1}}
    exception = {"type": "E", "value": "card 4111 1111 1111 1111", "stacktrace": {"frames": [frame]}}
    crumb = {"message": "GET /?api_key=abcdef", "data": {"token": "abcdef"}}
    event = {"exception": [exception], "breadcrumbs": [crumb], "contexts": {"a": {"secret": "abcdef"}}}
    await http.post(ENVELOPE, params=KEY, content=envelope(("event", event)))
    [message] = publisher.messages
    for secret in (b"hunter2", b"4111", b"abcdef"):
        assert secret not in message.value


async def test_an_error_too_large_for_a_record_is_reported_without_what_makes_it_so(
    http: httpx.AsyncClient, publisher: MemoryPublisher
) -> None:
    body = envelope(("event", {**EVENT, "extra": {"dump": "x" * 2_000_000}}))
    assert (await http.post(ENVELOPE, params=KEY, content=body)).status_code == 200
    assert records(publisher)[0]["data"]["message"] == "no"
