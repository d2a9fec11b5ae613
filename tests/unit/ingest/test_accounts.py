"""The law of accounts: whatever is sent, sent = accepted + rejected + limited + filtered + dropped + unavailable."""

import asyncio
import json
from typing import Any

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from prometheus_client import REGISTRY

from services.ingest.rates import Category
from shared import metrics
from tests.unit.ingest.doubles import PUBLIC, SECRET, MemoryPublisher, client

OUTCOMES = ("accepted", "rejected", "limited", "filtered", "unavailable")
DROPPED = "signalbox_ingest_dropped"
LIMITS = {Category.ERROR: 5, Category.METRIC: 3, Category.JOB: 2}

ITEMS: list[Any] = [
    {"type": "error", "message": "m"},
    {"type": "error", "message": "password=hunter2"},
    {"type": "metric", "name": "LCP", "value": 1},
    {"type": "page_view"},
    {"type": "event", "name": "n", "properties": {"a": [[[[]]]]}},
    {"type": "error", "message": ""},
    {"type": "zzz"},
    {"type": "page_view", "title": "\x00"},
    {"type": "event", "name": "n", "properties": {"deep": json.loads("[" * 40 + "]" * 40)}},
    {"type": "event", "name": "n", "properties": {"long": "x" * 300_000}},
    [],
    7,
]
# By their numbers, since Hypothesis writes out what it draws, and one of them is huge.
lists = st.lists(st.sampled_from(range(len(ITEMS))), min_size=1, max_size=12)


def accounts() -> dict[str, float]:
    """What every outcome stands at."""
    metrics.hand_over()
    totals = dict.fromkeys((*OUTCOMES, DROPPED), 0.0)
    for family in REGISTRY.collect():
        outcome = family.name.removeprefix("signalbox_ingest_items_")
        if outcome in totals:
            totals[outcome] = sum(sample.value for sample in family.samples if sample.name.endswith("_total"))
    return totals


def moved(before: dict[str, float]) -> dict[str, int]:
    return {name: round(value - before[name]) for name, value in accounts().items() if value != before[name]}


@given(st.lists(st.tuples(st.sampled_from(["json", "ndjson", "batch"]), lists, st.booleans()), max_size=4))
@settings(max_examples=60)
def test_every_item_is_counted_once(requests: list[tuple[str, list[int], bool]]) -> None:
    async def send() -> None:
        publisher = MemoryPublisher()
        async with client(publisher, rate_limits_per_minute=LIMITS, body_bytes_max=8_000_000) as http:
            for kind, numbers, away in requests:
                sent = [ITEMS[number] for number in numbers]
                publisher.away = away
                before = accounts()
                taken = len(publisher.messages)
                answer = await _post(http, kind, sent)
                counted = moved(before)
                assert sum(counted.values()) == len(sent), (answer.text, counted)
                assert counted.get("accepted", 0) == len(publisher.messages) - taken
                if answer.status_code == 202:
                    assert counted["accepted"] == answer.json()["accepted"]
                    refused = counted.get("rejected", 0) + counted.get("limited", 0)
                    assert refused == len(answer.json()["rejected"])

    asyncio.run(send())


async def _post(http: httpx.AsyncClient, kind: str, sent: list[Any]) -> httpx.Response:
    if kind == "batch":
        return await http.post("/error-tracking", content=json.dumps({"events": sent}))
    if kind == "ndjson":
        lines = "\n".join(json.dumps(item) for item in sent)
        return await http.post("/v1/events", content=lines, headers={"Content-Type": "application/x-ndjson"})
    return await http.post("/v1/events", content=json.dumps(sent))


@pytest.mark.parametrize(
    ("request_", "outcome"),
    [
        ({"content": b""}, "rejected"),
        ({"content": b"{"}, "rejected"),
        ({"content": b"[]"}, "rejected"),
        ({"content": b"x" * 2_000_000}, "rejected"),
        ({"content": b"{}", "headers": {"Authorization": "Bearer nobodys"}}, "rejected"),
        ({"content": b"{}", "headers": {"Content-Encoding": "lzma"}}, "rejected"),
        ({"content": b"[" + b"{}," * 1_000 + b"{}]"}, "rejected"),
    ],
)
async def test_a_request_refused_as_a_whole_counts_as_one(request_: dict[str, Any], outcome: str) -> None:
    async with client(MemoryPublisher()) as http:
        before = accounts()
        answer = await http.post("/v1/events", **request_)
    assert 400 <= answer.status_code < 500
    assert moved(before) == {outcome: 1}


async def test_the_first_request_over_a_limit_is_answered_429_with_when_to_come_back() -> None:
    error, view = {"type": "error", "message": "m"}, {"type": "page_view"}
    publisher = MemoryPublisher()
    async with client(publisher, rate_limits_per_minute={Category.ERROR: 3}) as http:
        answers = [await http.post("/v1/events", json=error) for _ in range(4)]
        assert [answer.status_code for answer in answers] == [202, 202, 202, 429]
        refusal = answers[-1]
        assert refusal.headers["content-type"] == "application/problem+json"
        assert refusal.headers["access-control-allow-origin"] == "*"
        assert 1 <= int(refusal.headers["retry-after"]) <= 20
        assert refusal.headers["ratelimit-policy"] == '"error";q=3;w=60'

        mixed = await http.post("/v1/events", json=[error, view, error])
        assert (mixed.status_code, mixed.json()["accepted"]) == (202, 1)
        assert [item["index"] for item in mixed.json()["rejected"]] == [0, 2]

        other = await http.post("/v1/events", json=error, headers={"Authorization": f"Bearer {PUBLIC}"})
        assert other.status_code == 202, "another key has a limit of its own"


async def test_requests_can_be_limited_before_their_bodies_are_read() -> None:
    async with client(MemoryPublisher(), rate_limits_per_minute={Category.REQUEST: 1}) as http:
        statuses = [(await http.post("/v1/events", content=b"not JSON")).status_code for _ in range(2)]
        job = await http.post(
            "/v1/jobs", json={"type": "update_statistics"}, headers={"Authorization": f"Bearer {SECRET}"}
        )
    assert (statuses, job.status_code) == ([400, 429], 429)


def _one_event(numbers: list[int]) -> bool:
    """An envelope may hold no more than one."""
    return sum(SENTRY_ITEMS[number][0] == "event" for number in numbers) <= 1


def _envelope(numbers: list[int]) -> bytes:
    lines = [b"{}"]
    for number in numbers:
        kind, payload = SENTRY_ITEMS[number]
        lines += [json.dumps({"type": kind, "length": len(payload)}).encode(), payload]
    return b"\n".join(lines)


SENTRY_ITEMS: list[tuple[str, bytes]] = [
    ("event", b'{"exception": {"values": [{"type": "KeyError", "value": "x"}]}}'),
    ("event", b"not JSON"),
    ("session", b'{"sid": "1", "status": "ok"}'),
    ("attachment", b"bytes"),
    ("profile", b"{}"),
    ("zzz", b"{}"),
    ("user_report", b'{"comments": "it broke"}'),
]


@given(
    st.lists(st.sampled_from(range(len(SENTRY_ITEMS))), min_size=1, max_size=8).filter(_one_event),
    st.booleans(),
)
@settings(max_examples=60)
def test_every_item_of_an_envelope_is_counted_once(numbers: list[int], away: bool) -> None:
    """Of those that become one event at most; a transaction becomes as many metrics as it holds."""

    async def send() -> None:
        publisher = MemoryPublisher()
        publisher.away = away
        async with client(publisher, rate_limits_per_minute=LIMITS) as http:
            before = accounts()
            answer = await http.post("/api/shop/envelope/", content=_envelope(numbers))
            assert answer.status_code == 200
            assert sum(moved(before).values()) == len(numbers), moved(before)

    asyncio.run(send())
