"""HTTP: statuses, keys, headers and answers of the producing routes."""

import asyncio
import gzip
from collections.abc import AsyncIterator, Sequence
from typing import Any

import httpx
import msgspec
import pytest

from services.ingest.publisher import Durability, Message
from shared.contracts import headers
from tests.unit.ingest.doubles import PUBLIC, MemoryPublisher, client

VIEW = {"type": "page_view", "page": "/"}
JOB = {"type": "update_statistics"}
CHANGE = {"entity": "technicians"}
ROUTES = {"/v1/events": VIEW, "/error-tracking": {"events": [VIEW]}, "/v1/jobs": JOB, "/v1/changes": CHANGE}


def expect_problem(response: httpx.Response, status: int) -> dict[str, Any]:
    assert response.status_code == status, response.text
    assert response.headers["content-type"] == "application/problem+json"
    problem: dict[str, Any] = response.json()
    assert (problem["status"], problem["type"]) == (status, "about:blank")
    assert problem["title"]
    assert problem["detail"]
    return problem


@pytest.fixture
def publisher() -> MemoryPublisher:
    return MemoryPublisher()


async def test_events_are_answered_with_their_ids_and_what_was_rejected(publisher: MemoryPublisher) -> None:
    async with client(publisher) as http:
        response = await http.post("/v1/events", json=[{**VIEW, "id": "view-4711"}, {"type": "zzz"}])
    assert response.status_code == 202
    answer = response.json()
    assert (answer["accepted"], answer["ids"]) == (1, ["view-4711"])
    assert [item["index"] for item in answer["rejected"]] == [1]
    assert len(publisher.messages) == 1


async def test_ndjson_is_read_by_its_content_type(publisher: MemoryPublisher) -> None:
    headers = {"Content-Type": "application/x-ndjson; charset=utf-8"}
    async with client(publisher) as http:
        response = await http.post(
            "/v1/events", content=b'{"type": "page_view"}\nnonsense\n', headers=headers
        )
    assert response.json()["accepted"] == 1
    assert response.json()["rejected"][0]["index"] == 1


async def test_a_browser_posts_text_with_the_public_key_in_the_query(publisher: MemoryPublisher) -> None:
    body = b'{"sent_at": "2026-11-23T11:00:00Z", "events": [{"type": "page_view", "timestamp": "2026-11-23T10:59:50Z"}]}'
    async with client(publisher, key="") as http:
        response = await http.post(
            f"/error-tracking?key={PUBLIC}", content=body, headers={"Content-Type": "text/plain"}
        )
    assert response.status_code == 202
    envelope = msgspec.json.decode(publisher.messages[0].value)
    assert (envelope["source"], envelope["occurred_at"]) == ("browser", "2026-11-23T11:59:50Z")


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/changes"])
async def test_one_object_is_answered_with_its_id_and_a_list_with_ids(
    publisher: MemoryPublisher, path: str
) -> None:
    async with client(publisher) as http:
        one = await http.post(path, json=ROUTES[path])
        many = await http.post(path, json=[ROUTES[path], {}])
    assert one.status_code == many.status_code == 202
    assert set(one.json()) == {"id"}
    assert set(many.json()) == {"ids", "rejected"}
    assert [message.headers[2][1].decode() for message in publisher.messages] == [
        one.json()["id"],
        *many.json()["ids"],
    ]


async def test_an_idempotency_key_makes_a_second_request_the_same_job(publisher: MemoryPublisher) -> None:
    async with client(publisher) as http:
        first, second = [
            await http.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "monday"}) for _ in range(2)
        ]
        too_long = await http.post("/v1/jobs", json=JOB, headers={"Idempotency-Key": "x" * 256})
    assert first.json() == second.json()
    expect_problem(too_long, 422)


@pytest.mark.parametrize("path", sorted(ROUTES))
async def test_a_key_is_needed(publisher: MemoryPublisher, path: str) -> None:
    async with client(publisher, key="") as http:
        for headers in ({}, {"Authorization": "Bearer nobodys"}, {"Authorization": "Basic c2I6c2I="}):
            response = await http.post(path, json=ROUTES[path], headers=headers)
            expect_problem(response, 401)
            assert response.headers["www-authenticate"] == "Bearer"
        expect_problem(await http.post(f"{path}?key=nobodys", json=ROUTES[path]), 401)


@pytest.mark.parametrize(
    ("path", "status"),
    [("/v1/events", 202), ("/error-tracking", 202), ("/v1/jobs", 403), ("/v1/changes", 403)],
)
async def test_the_public_key_only_writes_events(publisher: MemoryPublisher, path: str, status: int) -> None:
    async with client(publisher, key=PUBLIC) as http:
        response = await http.post(path, json=ROUTES[path])
    assert response.status_code == status


@pytest.mark.parametrize("path", sorted(ROUTES))
@pytest.mark.parametrize(
    ("body", "encoding", "status"),
    [
        (b"", "", 400),
        (b"{", "", 400),
        (b'{"type": "\xff"}', "", 400),
        (b"{}", "", 422),
        (b"[]", "", 422),
        (b"x" * 20_001, "", 413),
        (gzip.compress(b"x" * 20_001), "gzip", 413),
        (b"no gzip", "gzip", 400),
        (b"{}", "lzma", 415),
    ],
)
async def test_a_body_that_cannot_be_taken_is_refused_with_a_reason(
    publisher: MemoryPublisher, path: str, body: bytes, encoding: str, status: int
) -> None:
    headers = {"Content-Encoding": encoding} if encoding else {}
    async with client(publisher, body_bytes_max=20_000) as http:
        expect_problem(await http.post(path, content=body, headers=headers), status)
    assert publisher.messages == []


async def test_a_body_without_a_length_is_read_no_further_than_the_limit(publisher: MemoryPublisher) -> None:
    sent = 0

    async def chunks() -> AsyncIterator[bytes]:
        nonlocal sent
        while True:
            sent += 1_000
            yield b"x" * 1_000

    async with client(publisher, body_bytes_max=20_000) as http:
        expect_problem(await http.post("/v1/events", content=chunks()), 413)
    assert sent <= 22_000


async def test_a_body_that_does_not_end_is_given_up(publisher: MemoryPublisher) -> None:
    async def stalled() -> AsyncIterator[bytes]:
        yield b'{"type": '
        await asyncio.Event().wait()

    async with client(publisher, body_timeout_s=0.05) as http:
        expect_problem(await http.post("/v1/events", content=stalled()), 408)


async def test_without_an_acknowledgement_the_answer_is_503(publisher: MemoryPublisher) -> None:
    publisher.away = True
    async with client(publisher) as http:
        response = await http.post("/v1/events", json=VIEW)
        not_ready = await http.get("/readyz")
    expect_problem(response, 503)
    assert 1 <= int(response.headers["retry-after"]) <= 5
    assert not_ready.status_code == 503


async def test_while_too_much_waits_for_kafka_bodies_are_not_even_parsed() -> None:
    class Slow(MemoryPublisher):
        reached, released = asyncio.Event(), asyncio.Event()

        async def publish(self, messages: Sequence[Message]) -> Durability:
            self.reached.set()
            await self.released.wait()
            return Durability.KAFKA

    slow = Slow()
    async with client(slow, in_flight_bytes_max=2_000) as http:
        waiting = asyncio.create_task(http.post("/v1/events", json=[VIEW] * 100))
        await slow.reached.wait()
        refused = await http.post("/v1/events", content=b"not even JSON")
        slow.released.set()
        assert (await waiting).status_code == 202
        expect_problem(refused, 503)
        assert (await http.post("/v1/events", json=VIEW)).status_code == 202


@pytest.mark.parametrize(
    ("given", "kept"),
    [
        ("00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01", True),
        ("00-00000000000000000000000000000000-b7ad6b7169203331-01", False),
        ("00-0AF7651916CD43DD8448EB211C80319C-b7ad6b7169203331-01", False),
        ("nonsense", False),
    ],
)
async def test_trace_context_travels_with_the_records(
    publisher: MemoryPublisher, given: str, kept: bool
) -> None:
    async with client(publisher) as http:
        await http.post("/v1/events", json=[VIEW, VIEW], headers={"traceparent": given})
    first, second = (headers.decode(message.headers).traceparent for message in publisher.messages)
    assert first == second
    assert (first == given) is kept
    assert len(first) == 55


@pytest.mark.parametrize("path", ["/v1/events", "/error-tracking", "/monitoring.js"])
async def test_pages_of_any_origin_may_call(publisher: MemoryPublisher, path: str) -> None:
    preflight = {
        "Origin": "https://app.example.com",
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "content-type",
    }
    async with client(publisher, key="") as http:
        allowed = await http.options(path, headers=preflight)
        refused = await http.post(path, json=VIEW)
    assert allowed.status_code == 204
    assert "POST" in allowed.headers["access-control-allow-methods"]
    assert "content-type" in allowed.headers["access-control-allow-headers"]
    for response in (allowed, refused):  # a page reads why it was refused, and when to come back
        assert response.headers["access-control-allow-origin"] == "*"
        assert "access-control-allow-credentials" not in response.headers
    assert "Retry-After" in refused.headers["access-control-expose-headers"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/changes", "/metrics"])
async def test_pages_may_not_call_what_needs_the_secret_key(publisher: MemoryPublisher, path: str) -> None:
    async with client(publisher) as http:
        expect_problem(await http.options(path), 405)
        assert "access-control-allow-origin" not in (await http.post(path, json=JOB)).headers


async def test_an_unknown_path_or_method_is_a_problem_too(publisher: MemoryPublisher) -> None:
    async with client(publisher) as http:
        expect_problem(await http.get("/nowhere"), 404)
        expect_problem(await http.post("/v1/events/", json=VIEW), 404)
        expect_problem(await http.get("/v1/events"), 405)
