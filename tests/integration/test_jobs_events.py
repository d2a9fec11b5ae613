"""Events from Kafka to PostgreSQL: stored once, counted once, and never held up by a bad neighbour."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

import httpx
import msgspec
import pytest
from aiokafka import ConsumerRecord

from services.jobs.migrate import migrate
from shared.contracts.events import AnyEvent, CustomEvent, Envelope, Error, Metric, PageView
from shared.contracts.topics import (
    DISPATCH,
    ERRORS,
    EVENTS,
    ISSUES,
    JOB_REQUESTS,
    LOAD_TESTS,
    METRICS,
    PAGE_VIEWS,
    RETRIES,
    TOPICS,
    WEB_VITALS,
    Topic,
)
from shared.contracts.vitals import VitalsWindow
from shared.ids import new_id
from tests.support import kafka
from tests.support.jobs_api import OPERATOR, get
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually

NOW = datetime.now(UTC).replace(microsecond=0)


def envelope(data: AnyEvent, id: str | None = None, at: datetime = NOW) -> bytes:
    return msgspec.json.encode(
        Envelope(id=id or new_id(), project="1", source="server", received_at=at, occurred_at=at, data=data)
    )


async def put(stack: RunningStack, topic: Topic, values: Sequence[bytes]) -> None:
    await kafka.put(stack.environment["KAFKA_BOOTSTRAP_SERVERS"], topic, values, key=b"k")


async def test_a_sample_is_counted_once_however_often_it_is_delivered(
    stack: RunningStack, jobs_url: str
) -> None:
    once = envelope(Metric(name="LCP", value=2000, page="/once"), id=new_id())
    other = envelope(Metric(name="LCP", value=4100, page="/once"))
    await put(stack, METRICS, [once, once, other, once])
    await put(stack, METRICS, [once, envelope(Metric(name="CLS", value=0.3, page="/once"))])

    async def both_metrics() -> dict[str, Any] | None:
        found = {v["metric"]: v for v in (await get(f"{jobs_url}/v1/vitals", page="/once"))["vitals"]}
        return found if found.keys() == {"LCP", "CLS"} else None

    found = await eventually(both_metrics)
    assert (found["LCP"]["count"], found["LCP"]["good"], found["LCP"]["poor"]) == (2, 1, 1)
    assert found["LCP"]["p75"] == pytest.approx(4100, rel=0.01)
    assert found["CLS"]["poor"] == 1


async def test_a_minutes_aggregate_is_told_on_its_topic_with_absolute_values(
    stack: RunningStack, jobs_url: str
) -> None:
    await put(
        stack, METRICS, [envelope(Metric(name="INP", value=value, page="/told")) for value in (100, 300, 600)]
    )

    def complete(record: ConsumerRecord) -> bool:
        window = msgspec.json.decode(record.value, type=VitalsWindow)
        return window.page == "/told" and window.count == 3

    [record] = await kafka.find(stack.environment["KAFKA_BOOTSTRAP_SERVERS"], WEB_VITALS, complete)
    window = msgspec.json.decode(record.value, type=VitalsWindow)
    assert (window.good, window.needs_improvement, window.poor, window.sum) == (1, 1, 1, 1000)
    assert dict(record.headers)["ce_dataschema"] == WEB_VITALS.schema.encode()


async def test_errors_become_one_issue_with_its_events_and_are_told(
    stack: RunningStack, jobs_url: str
) -> None:
    stack_trace = "TypeError: no\n    at checkout (https://shop.test/app.js:{line}:1)"
    events = [
        envelope(
            Error(message=f"no {line}", exception_type="CheckoutError", stack=stack_trace.format(line=line))
        )
        for line in (1, 2, 3)
    ]
    await put(stack, ERRORS, [*events, events[0]])

    async def issue() -> dict[str, Any] | None:
        issues = (await get(f"{jobs_url}/v1/issues"))["issues"]
        return next((i for i in issues if i["title"].startswith("CheckoutError") and i["count"] == 3), None)

    found = await eventually(issue)
    detail = await get(f"{jobs_url}/v1/issues/{found['id']}")
    assert {event["data"]["message"] for event in detail["events"]} == {"no 1", "no 2", "no 3"}
    bootstrap = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    [told] = await kafka.find(bootstrap, ISSUES, lambda record: record.key == found["id"].encode())
    assert msgspec.json.decode(told.value)["change"] == "opened"


async def test_a_resolved_issue_that_comes_back_is_told(stack: RunningStack, jobs_url: str) -> None:
    def failure() -> bytes:
        return envelope(Error(message="gone", exception_type="RegressedError"), at=datetime.now(UTC))

    async def issue(state: str) -> dict[str, Any] | None:
        issues = (await get(f"{jobs_url}/v1/issues", state=state))["issues"]
        return next((i for i in issues if i["title"].startswith("RegressedError")), None)

    await put(stack, ERRORS, [failure()])
    id = (await eventually(lambda: issue("open")))["id"]
    async with httpx.AsyncClient() as client:
        url = f"{jobs_url}/v1/issues/{id}"
        assert (await client.post(f"{url}/resolve")).status_code == 401
        assert (await client.post(f"{url}/resolve", headers=OPERATOR)).json()["issue"]["state"] == "resolved"
        assert (await client.post(f"{url}/forget", headers=OPERATOR)).status_code == 422
    await put(stack, ERRORS, [failure()])
    assert (await eventually(lambda: issue("regressed")))["count"] == 2
    told = await kafka.find(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        ISSUES,
        lambda record: record.key == id.encode(),
        count=2,
    )
    assert [msgspec.json.decode(record.value)["change"] for record in told] == ["opened", "regressed"]


async def test_page_views_and_events_are_counted(stack: RunningStack, jobs_url: str) -> None:
    await put(stack, PAGE_VIEWS, [envelope(PageView(page="/counted")) for _ in range(3)])
    await put(stack, EVENTS, [envelope(CustomEvent(name="counted", properties={"n": n})) for n in range(2)])

    async def counts() -> bool:
        views = (await get(f"{jobs_url}/v1/page-views"))["page_views"]
        events = (await get(f"{jobs_url}/v1/events"))["events"]
        return {"name": "/counted", "count": 3} in views and {"name": "counted", "count": 2} in events

    await eventually(counts)


@pytest.mark.parametrize(
    "topic",
    [ERRORS, METRICS, PAGE_VIEWS, EVENTS, JOB_REQUESTS, LOAD_TESTS, *DISPATCH.values(), *RETRIES.values()],
    ids=lambda topic: topic.name,
)
async def test_poison_goes_to_the_dead_letters_with_its_bytes_and_its_origin(
    stack: RunningStack, jobs_url: str, topic: Topic
) -> None:
    poison = [
        b"\xff\xfe" + new_id().encode(),
        b'{"id": "' + new_id().encode() + b'"}',
        b'{"id": ' + b"[" * 5000,
    ]
    await put(stack, topic, poison)
    assert topic.dead_letter is not None
    found = await kafka.find(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        TOPICS[topic.dead_letter],
        lambda record: (
            record.value in poison and dict(record.headers)["dead_letter_topic"] == topic.name.encode()
        ),
        count=3,
    )
    by_value = {record.value: dict(record.headers) for record in found}
    assert [by_value[value]["dead_letter_reason"] for value in poison[:2]] == [b"json", b"schema"]
    assert {record.key for record in found} == {b"k"}
    assert all(headers["dead_letter_offset"].isdigit() for headers in by_value.values())


async def test_what_postgresql_cannot_hold_is_buried_and_its_batch_is_stored(
    stack: RunningStack, jobs_url: str
) -> None:
    page = "/around-the-poison"
    good = [envelope(Metric(name="FCP", value=1000, page=page)) for _ in range(20)]
    bad = envelope(Metric(name="F\x00P", value=1, page=page))
    await put(stack, METRICS, [*good[:10], bad, *good[10:]])

    async def all_good_ones() -> bool:
        vitals = (await get(f"{jobs_url}/v1/vitals", page=page))["vitals"]
        return [v["count"] for v in vitals] == [20]

    await eventually(all_good_ones)
    assert METRICS.dead_letter is not None
    [dead] = await kafka.find(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        TOPICS[METRICS.dead_letter],
        lambda record: record.value == bad,
    )
    assert dict(dead.headers)["dead_letter_reason"] == b"data"


async def test_the_largest_poison_that_kafka_takes_is_buried_whole(
    stack: RunningStack, jobs_url: str
) -> None:
    poison = b"\xff" * (METRICS.record_bytes_max - 200)
    await put(stack, METRICS, [poison])
    assert METRICS.dead_letter is not None
    [dead] = await kafka.find(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        TOPICS[METRICS.dead_letter],
        lambda record: record.value == poison,
    )
    assert dict(dead.headers)["dead_letter_reason"] == b"json"


async def test_migrations_are_applied_once(stack: RunningStack) -> None:
    assert await migrate(stack.environment["POSTGRES_DSN"]) == []
