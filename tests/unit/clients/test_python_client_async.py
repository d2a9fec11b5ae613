"""The asyncio client, and that the package needs nothing but Python."""

import ast
import asyncio
import os
import sys
import tomllib
from pathlib import Path

import pytest

import signalbox_client
from signalbox_client import AsyncClient, Counts, Refused
from signalbox_client.events import to_json
from tests.unit.clients.collector import Answer, Collector

PACKAGE = Path(signalbox_client.__file__).parent


async def test_tracking_needs_no_await_and_asking_has_one() -> None:
    with Collector() as collector:
        collector.answers += [Answer(202, body={"id": "0198"}), Answer(202, body={"id": "1"}), Answer(422)]
        async with AsyncClient(collector.url, "sbsk_test", flush_interval_s=60) as client:
            client.track_error(ValueError("no"))
            client.track_metric("checkout", 12, unit="ms")
            client.track_page_view("/items/:id")
            client.track_event("purchase")
            assert await client.enqueue_job("update_statistics") == "0198"
            await client.changed("technicians", "42")
            with pytest.raises(Refused):
                await client.enqueue_job("walk_dog")
            assert await client.flush()
            assert client.counts() == Counts(tracked=4, accepted=4)
            client.track_event("at the end")
        assert [event["type"] for event in collector.events[3:]] == [
            "error",
            "metric",
            "page_view",
            "event",
            "event",
        ]


async def test_the_loop_goes_on_while_a_call_waits() -> None:
    with Collector() as collector:
        collector.answers += [Answer(503, {"Retry-After": "1"}), Answer(202, body={"id": "0198"})]
        async with AsyncClient(collector.url, "sbsk_test") as client:
            asking = asyncio.create_task(client.enqueue_job("update_statistics"))
            turns = 0
            while not asking.done():
                turns += 1
                await asyncio.sleep(0.01)
            assert await asking == "0198"
    assert turns > 10


def test_the_package_needs_nothing_but_python() -> None:
    project = tomllib.loads((PACKAGE.parent / "pyproject.toml").read_text())["project"]
    assert project["dependencies"] == []
    imported = {
        name.partition(".")[0]
        for path in PACKAGE.glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        for name in (
            [alias.name for alias in node.names]
            if isinstance(node, ast.Import)
            else [node.module or ""]
            if isinstance(node, ast.ImportFrom)
            else []
        )
    }
    assert imported <= {"signalbox_client", *sys.stdlib_module_names}


@pytest.mark.parametrize(
    ("text", "written"),
    [
        ("a\x00b", '"a\ufffdb"'),
        ("a\\u0000b", '"a\\\\u0000b"'),
        ("a\\\x00", '"a\\\\\ufffd"'),
        ("\ud83d", '"?"'),
        ("😀é", '"😀é"'),
    ],
)
def test_text_is_written_as_the_server_takes_it(text: str, written: str) -> None:
    assert to_json(text).decode() == written


def test_requests_go_through_the_proxy_of_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    with Collector() as proxy:
        for name in [name for name in os.environ if name.lower().endswith("_proxy")]:
            monkeypatch.delenv(name)
        monkeypatch.setenv("http_proxy", proxy.url.replace("//", "//me:secret@"))
        with signalbox_client.Client(
            "http://ingest.example:8001", "sbsk_test", flush_interval_s=0.01
        ) as client:
            client.track_event("one")
            assert client.flush()
    [request] = proxy.requests
    assert request.headers["host"] == "ingest.example:8001"
    assert request.headers["proxy-authorization"] == "Basic bWU6c2VjcmV0"
