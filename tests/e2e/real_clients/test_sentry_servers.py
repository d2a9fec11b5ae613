"""Sentry's SDKs for servers, unmodified: what a program reports is on Kafka and in PostgreSQL, field by field."""

import sys
from typing import Any

import msgspec
import pytest
from aiokafka import ConsumerRecord

from shared.contracts.events import Envelope, Error
from shared.contracts.topics import ERRORS, EVENTS, METRICS
from tests.e2e.real_clients.programs import by_id, matching, run
from tests.support.jobs_api import get
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually


async def issue_of(jobs_url: str, event: Envelope[Error]) -> tuple[dict[str, Any], dict[str, Any]]:
    """The issue that an error was filed under, and the error as PostgreSQL has it."""
    title = f"{event.data.exception_type}: {event.data.message}"

    async def look() -> tuple[dict[str, Any], dict[str, Any]] | None:
        for issue in (await get(f"{jobs_url}/v1/issues", limit="200"))["issues"]:
            if issue["title"] == title:
                for stored in (await get(f"{jobs_url}/v1/issues/{issue['id']}"))["events"]:
                    if stored["id"] == event.id:
                        return issue, stored["data"]
        return None

    return await eventually(look)


async def test_python(stack: RunningStack, dsn: dict[str, str], jobs_url: str) -> None:
    ids = await run([sys.executable, "sentry_python.py"], dsn)

    chained = (await by_id(stack, ERRORS, ids["chained"])).data
    assert (chained.exception_type, chained.message) == ("OutOfStock", "item 7 is out of stock")
    assert [(cause.exception_type, cause.message) for cause in chained.causes] == [("KeyError", "'stock'")]
    assert chained.breadcrumbs[0].message == "added item 7"

    raised = await by_id(stack, ERRORS, ids["exception"])
    assert raised.source == "sentry"
    error = raised.data
    assert (error.release, error.environment, error.server_name) == ("booking-api@4.12.0", "ci", "python-1")
    assert error.runtime.startswith("CPython 3.")
    assert (error.user, error.user_details, error.tags) == (
        "u-1093",
        {"email": "ann@example.org"},
        {"shop": "berlin"},
    )
    assert error.contexts["order"] == {"items": 3}
    assert [frame.function for frame in error.frames] == ["reserve", "main"]
    assert "raise OutOfStock" in error.frames[0].context_line
    assert error.frames[0].variables == {"item": "8", "password": "[Filtered]", "card": "'[Filtered]'"}
    issue, stored = await issue_of(jobs_url, raised)
    assert issue["culprit"] == "reserve in sentry_python.py"
    assert stored == msgspec.to_builtins(error, str_keys=True)

    message = (await by_id(stack, ERRORS, ids["message"])).data
    assert (message.message, message.level, message.exception_type) == ("stock is low", "warning", "Message")
    grouped = (await by_id(stack, ERRORS, ids["fingerprint"])).data
    assert (grouped.fingerprint, grouped.level) == (["checkout", "timeout"], "fatal")

    [duration] = await matching(
        stack, METRICS, lambda record: b'"release":"booking-api@4.12.0"' in record.value
    )
    assert (duration.data.name, duration.data.unit, duration.data.tags["op"]) == (
        "transaction.duration",
        "ms",
        "http.server",
    )
    [logged] = await matching(stack, ERRORS, lambda record: b"payment p-17 failed" in record.value)
    assert logged.data.level == "error"


@pytest.mark.parametrize("version", [8, 9, 10, 11])
async def test_node(stack: RunningStack, dsn: dict[str, str], jobs_url: str, node: str, version: int) -> None:
    release = f"shop-api@{version}.12.0"
    ids = await run([node, "sentry_node.mjs", f"sentry-node-{version}"], {**dsn, "SENTRY_RELEASE": release})

    raised = await by_id(stack, ERRORS, ids["exception"])
    error = raised.data
    assert (error.exception_type, error.message) == ("OutOfStock", "item 7 is out of stock")
    assert (error.release, error.environment, error.server_name) == (release, "ci", "node-1")
    assert (error.user, error.tags) == ("u-1093", {"shop": "berlin"})
    assert error.contexts["order"] == {"items": 3}
    assert error.contexts["sdk"]["version"].startswith(f"{version}.")
    assert error.breadcrumbs[0].data == {"item": 7}
    assert (error.frames[0].function, error.handled) == ("reserve", True)
    assert "throw new OutOfStock" in error.frames[0].context_line
    _, stored = await issue_of(jobs_url, raised)
    assert stored == msgspec.to_builtins(error, str_keys=True)

    message = (await by_id(stack, ERRORS, ids["message"])).data
    assert (message.message, message.level) == ("stock is low", "warning")
    grouped = (await by_id(stack, ERRORS, ids["fingerprint"])).data
    assert (grouped.fingerprint, grouped.level) == (["checkout", "timeout"], "fatal")

    def is_ours(record: ConsumerRecord) -> bool:
        return f'"release":"{release}"'.encode() in record.value

    events = {event.data.name: event.data for event in await matching(stack, EVENTS, is_ours, count=2)}
    assert events["feedback"].properties == {"message": "I like it", "contact_email": "ann@example.org"}
    assert (events["check_in"].properties["monitor_slug"], events["check_in"].properties["status"]) == (
        "nightly",
        "ok",
    )
    [duration] = await matching(stack, METRICS, is_ours)
    assert (duration.data.name, duration.data.unit, duration.data.page) == (
        "transaction.duration",
        "ms",
        "GET /items/:id",
    )
