"""The Python client against a real HTTP server: what it sends, when it tries again, what it counts."""

import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from shared.contracts.cache import Change
from shared.contracts.events import AnyEvent
from signalbox_client import Client, ClientError, Counts, Refused, Unavailable
from tests.unit.clients.collector import Answer, Collector

KEY = "sbsk_test"


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        yield collector


@pytest.fixture
def client(collector: Collector) -> Iterator[Client]:
    with Client(collector.url, KEY, release="1.2.3", environment="ci", flush_interval_s=0.05) as client:
        yield client


def unused_url() -> str:
    """An address where nobody listens."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_each_kind_of_event_arrives_field_by_field(client: Client, collector: Collector) -> None:
    try:
        os.environ["NO_SUCH_PRICE"]
    except KeyError as missing:
        client.track_error(missing, level="fatal", user="u1", order=42, tags={"cart": "full"})
    client.track_error("plain text")
    client.track_metric("checkout", 12, unit="ms", page="/checkout")
    client.track_page_view("/items/:id", referrer="https://example.com/")
    client.track_event("purchase", {"total": 9.9, "at": datetime(2026, 1, 2, tzinfo=UTC)})
    assert client.flush()

    error, text, metric, view, custom = collector.events
    assert (error["exception_type"], error["message"], error["level"]) == (
        "KeyError",
        "'NO_SUCH_PRICE'",
        "fatal",
    )
    assert error["stack"].startswith("Traceback")
    assert "test_python_client.py" in error["stack"]
    assert (error["user"], error["tags"]) == ("u1", {"order": "42", "cart": "full"})
    assert text["message"] == "plain text"
    assert (metric["name"], metric["value"], metric["unit"], metric["page"]) == (
        "checkout",
        12.0,
        "ms",
        "/checkout",
    )
    assert (view["page"], view["referrer"]) == ("/items/:id", "https://example.com/")
    assert custom["properties"] == {"total": 9.9, "at": "2026-01-02T00:00:00.000Z"}
    for event in collector.events:
        assert re.fullmatch(r"[0-9a-f-]{36}", event["id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
        assert (event["release"], event["environment"]) == ("1.2.3", "ci")
        msgspec.convert(event, AnyEvent)
    assert {request.path for request in collector.requests} == {"/v1/events"}
    assert collector.requests[0].headers["authorization"] == f"Bearer {KEY}"
    assert client.counts() == Counts(tracked=5, accepted=5)


def test_events_leave_after_the_interval_without_being_asked(client: Client, collector: Collector) -> None:
    client.track_event("one")
    collector.wait_until(lambda c: c.events)


def test_a_full_batch_leaves_before_the_interval(collector: Collector) -> None:
    with Client(collector.url, KEY, flush_interval_s=60, batch_events_max=3) as client:
        for n in range(7):
            client.track_event("n", {"n": n})
        collector.wait_until(lambda c: len(c.events) == 6)
        assert [len(request.json()) for request in collector.requests] == [3, 3]
    assert [event["properties"]["n"] for event in collector.events] == list(range(7))


def test_a_refused_batch_is_sent_again_and_not_before_retry_after(
    client: Client, collector: Collector
) -> None:
    collector.answers.append(Answer(503, {"Retry-After": "1"}))
    client.track_event("one")
    assert client.flush()
    first, second = collector.requests
    assert first.body == second.body
    assert second.at - first.at >= 1.0
    assert client.counts() == Counts(tracked=1, accepted=1)


def test_retry_after_may_be_a_date(client: Client, collector: Collector) -> None:
    in_two_seconds = datetime.fromtimestamp(time.time() + 2, UTC).strftime("%a, %d %b %Y %H:%M:%S GMT")
    collector.answers.append(Answer(429, {"Retry-After": in_two_seconds}))
    client.track_event("one")
    assert client.flush()
    first, second = collector.requests
    assert second.at - first.at >= 0.9  # An HTTP date has no fractions of a second.


def test_a_server_that_comes_up_later_gets_everything() -> None:
    with socket.create_server(("127.0.0.1", 0)) as deaf:
        url = f"http://127.0.0.1:{deaf.getsockname()[1]}"
    client = Client(url, KEY, flush_interval_s=0.01)
    client.track_event("early")
    assert not client.flush(timeout_s=0.3)
    assert client.counts().waiting == 1
    with Collector(port=int(url.rsplit(":", 1)[1])) as collector:
        assert client.flush()
        assert [event["name"] for event in collector.events] == ["early"]
    client.close()


def test_the_buffer_is_bounded_and_what_falls_out_is_counted(collector: Collector) -> None:
    client = Client(collector.url, KEY, flush_interval_s=60, buffer_bytes_max=2_000)
    for n in range(50):
        client.track_event("n", {"n": n})
    counts = client.counts()
    assert (counts.tracked, counts.dropped + counts.waiting) == (50, 50)
    assert counts.dropped > 30
    client.close()
    assert collector.events[-1]["properties"]["n"] == 49, "the newest are kept"
    assert client.counts() == Counts(tracked=50, accepted=counts.waiting, dropped=counts.dropped)


def test_what_the_server_rejects_is_counted(client: Client, collector: Collector) -> None:
    partly = {"accepted": 1, "ids": ["x"], "rejected": [{"index": 1, "reason": "name: too long"}]}
    collector.answers += [Answer(202, body=partly), Answer(401, body={"detail": "no such key"})]
    client.track_event("good")
    client.track_event("x" * 500)
    assert client.flush()
    client.track_event("with a wrong key")
    assert client.flush()
    assert client.counts() == Counts(tracked=3, accepted=1, rejected=2)
    assert len(collector.requests) == 2, "a refusal for good is not repeated"


def test_a_batch_that_the_server_fails_on_does_not_hold_up_the_rest(
    collector: Collector, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("signalbox_client.transport.BACKOFF_S", 0.01)
    collector.answers += [Answer(500)] * 4
    with Client(collector.url, KEY, flush_interval_s=0.01) as client:
        client.track_event("poison")
        assert client.flush()
        client.track_event("fine")
        assert client.flush()
        assert client.counts() == Counts(tracked=2, accepted=1, dropped=1)


def test_tracking_never_raises(client: Client, collector: Collector) -> None:
    class Hostile(Exception):
        def __str__(self) -> str:
            raise RuntimeError("no")

    cycle: dict[str, Any] = {}
    cycle["self"] = cycle
    client.track_error(Hostile())
    client.track_error("")
    client.track_metric("nan", float("nan"))
    client.track_metric("text", "twelve")  # type: ignore[arg-type]
    client.track_event("cycle", cycle)
    client.track_event("huge", {"text": "x" * 300_000})
    client.track_event("odd", {"value": object(), "bytes": b"\xff"})
    assert client.flush()
    assert client.counts() == Counts(tracked=7, accepted=3, dropped=4)
    assert [event["type"] for event in collector.events] == ["error", "error", "event"]
    for event in collector.events:
        msgspec.convert(event, AnyEvent)


def test_closing_sends_what_waits_and_drops_what_comes_after(collector: Collector) -> None:
    client = Client(collector.url, KEY, flush_interval_s=60)
    client.track_event("before")
    client.close()
    client.track_event("after")
    client.close()
    assert [event["name"] for event in collector.events] == ["before"]
    assert client.counts() == Counts(tracked=2, accepted=1, dropped=1)


def test_closing_gives_up_on_a_server_that_is_away() -> None:
    client = Client(unused_url(), KEY, flush_interval_s=0.01, close_timeout_s=0.2)
    client.track_event("lost")
    started = time.monotonic()
    client.close()
    assert time.monotonic() - started < 2.0
    assert client.counts() == Counts(tracked=1, dropped=1)


def test_events_are_sent_at_exit_and_from_a_forked_child(collector: Collector) -> None:
    script = f"""
import os
from signalbox_client import Client
client = Client({collector.url!r}, {KEY!r}, flush_interval_s=60)
client.track_event("parent")
child = os.fork()
if child == 0:
    client.track_event("child")
    client.close()
    os._exit(0)
os.waitpid(child, 0)
"""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    subprocess.run([sys.executable, "-c", script], env=environment, check=True, timeout=30)
    assert sorted(event["name"] for event in collector.events) == ["child", "parent"]


def test_a_job_is_asked_for_and_its_id_returned(client: Client, collector: Collector) -> None:
    collector.answers.append(Answer(202, body={"id": "0198"}))
    at = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)
    job_id = client.enqueue_job(
        "generate_report", {"month": 1}, priority=8, scheduled_at=at, idempotency_key="r1"
    )
    assert job_id == "0198"
    [request] = collector.requests
    assert (request.path, request.headers["idempotency-key"]) == ("/v1/jobs", "r1")
    expected = {"type": "generate_report", "payload": {"month": 1}, "priority": 8}
    assert request.json() == {**expected, "scheduled_at": "2026-01-02T03:04:05.000Z"}


def test_a_job_is_asked_for_again_under_the_same_key(client: Client, collector: Collector) -> None:
    collector.answers += [Answer(503, {"Retry-After": "0"}), Answer(202, body={"id": "0198"})]
    assert client.enqueue_job("update_statistics") == "0198"
    first, second = collector.requests
    assert first.headers["idempotency-key"] == second.headers["idempotency-key"]


def test_a_refused_job_says_why(client: Client, collector: Collector) -> None:
    problem = {"title": "Invalid", "detail": "there is no job type `walk_dog`"}
    collector.answers.append(Answer(422, {"Content-Type": "application/problem+json"}, problem))
    with pytest.raises(Refused, match="422: there is no job type `walk_dog`") as caught:
        client.enqueue_job("walk_dog")
    assert caught.value.status == 422


def test_an_answer_without_an_id_is_an_error(client: Client, collector: Collector) -> None:
    collector.answers.append(Answer(202, body={}))
    with pytest.raises(ClientError, match="is that ingest"):
        client.enqueue_job("update_statistics")


def test_a_server_that_is_away_is_unavailable_in_time() -> None:
    with Client(unused_url(), KEY) as client:
        started = time.monotonic()
        with pytest.raises(Unavailable, match="ConnectionRefusedError"):
            client.changed("technicians", timeout_s=0.3)
    assert time.monotonic() - started < 2.0


def test_a_change_is_told(client: Client, collector: Collector) -> None:
    collector.answers += [Answer(202, body={"id": "1"}), Answer(202, body={"id": "2"})]
    client.changed("technicians", "42")
    client.changed("categories")
    assert {request.path for request in collector.requests} == {"/v1/changes"}
    changes = [msgspec.json.decode(request.body, type=Change) for request in collector.requests]
    assert [(change.entity, change.key) for change in changes] == [
        ("technicians", "42"),
        ("categories", None),
    ]


@pytest.mark.parametrize(("url", "key"), [("ftp://host", KEY), ("host:8001", KEY), ("http://host", "")])
def test_an_impossible_address_or_key_is_refused_at_once(url: str, key: str) -> None:
    with pytest.raises(ValueError, match=r"must look like|the key is"):
        Client(url, key)
