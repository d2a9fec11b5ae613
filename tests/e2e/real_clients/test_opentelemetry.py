"""OpenTelemetry's exporters, unmodified: in protobuf, gzipped and not, and in JSON."""

import json
import sys

import pytest
from aiokafka import ConsumerRecord

from shared.contracts.events import Error, Metric
from shared.contracts.topics import ERRORS, METRICS, Topic
from tests.e2e.real_clients.programs import matching, run
from tests.support.jobs_api import get
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually

PYTHON = ([sys.executable, "otel_python.py"], "checkout-python", "/items/{id}")
NODE = [
    (["node", "otel_node.mjs", encoding], f"checkout-{encoding}", "/items/:id")
    for encoding in ("proto", "http")
]


async def of_service(stack: RunningStack, topic: Topic, service: str, count: int) -> list[ConsumerRecord]:
    part = f'"service.name":"{service}"'.encode()
    return await matching(stack, topic, lambda record: part in record.value, count=count)


@pytest.mark.parametrize("program", [PYTHON, *NODE], ids=lambda program: program[1])
async def test_exceptions_become_errors_and_data_points_metrics(
    stack: RunningStack,
    otlp: dict[str, str],
    jobs_url: str,
    request: pytest.FixtureRequest,
    program: tuple[list[str], str, str],
) -> None:
    command, service, route = program
    if command[0] == "node":
        request.getfixturevalue("node")
    printed = await run(command, otlp)
    trace_id = printed.get("trace_id") or printed["traceId"]

    found = await of_service(stack, ERRORS, service, 2)
    assert {envelope.source for envelope in found} == {"otlp"}
    errors: list[Error] = [envelope.data for envelope in found]
    [logged] = [error for error in errors if not error.transaction]
    [spanned] = [error for error in errors if error.transaction]
    assert logged.exception_type.endswith("OutOfStock")
    assert (logged.message, logged.level) == ("item 7 is out of stock", "error")
    assert "OutOfStock" in logged.stack
    assert (logged.release, logged.environment) == ("4.12.0", "ci")
    assert (spanned.transaction, spanned.page) == (f"GET {route}", route)
    assert spanned.contexts["trace"]["trace_id"] == trace_id
    assert len(spanned.contexts["trace"]["span_id"]) == 16

    measured = await of_service(stack, METRICS, service, 2)
    metrics: dict[str, Metric] = {envelope.data.name: envelope.data for envelope in measured}
    orders, duration = metrics["orders"], metrics["http.server.request.duration"]
    assert (orders.value, orders.unit, orders.page) == (3, "{order}", "/orders")
    assert orders.tags["temporality"] == "cumulative"
    assert duration.value == pytest.approx(0.3)
    assert (duration.unit, duration.page) == ("s", route)
    assert (duration.tags["statistic"], duration.tags["count"]) == ("mean", "2")
    assert (duration.release, duration.environment) == ("4.12.0", "ci")

    async def stored() -> bool:
        vitals = (await get(f"{jobs_url}/v1/vitals", page=route))["vitals"]
        issues = (await get(f"{jobs_url}/v1/issues", limit="200"))["issues"]
        return "http.server.request.duration" in json.dumps(vitals) and any(
            issue["title"].endswith("OutOfStock: item 7 is out of stock") for issue in issues
        )

    await eventually(stored)
