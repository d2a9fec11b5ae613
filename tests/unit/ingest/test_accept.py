"""Any body becomes messages or a clear refusal, and what becomes a message can be read by its topic's contract."""

import contextlib
import json
import uuid
from collections.abc import Callable
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.accept import Accepted, Acceptor
from services.ingest.items import Flaw
from services.ingest.messages import Arrival
from shared import ids
from shared.contracts import headers, topics
from shared.errors import Invalid, Malformed, RequestError
from tests.unit.ingest.doubles import ARRIVAL

ACCEPTOR = Acceptor(items_max=1000)
READERS: list[Callable[[bytes, Arrival], Accepted]] = [
    ACCEPTOR.events,
    ACCEPTOR.event_batch,
    ACCEPTOR.jobs,
    ACCEPTOR.changes,
]
EVENTS: dict[str, dict[str, Any]] = {
    "error": {"type": "error", "message": "no such item", "exception_type": "KeyError"},
    "metric": {"type": "metric", "name": "LCP", "value": 1200, "page": "/items/:id"},
    "page_view": {"type": "page_view", "page": "/"},
    "event": {"type": "event", "name": "checkout_completed", "properties": {"items": 3, "vip": None}},
}
BAD_EVENTS: list[Any] = [{}, {"type": "zzz"}, {"type": "error"}, 7, None, {"type": "metric", "name": "LCP"}]
JOB = {"type": "generate_report", "payload": {"days": 7}}


def encode(value: object) -> bytes:
    return json.dumps(value).encode()


@given(st.binary(max_size=300), st.sampled_from(READERS))
def test_any_bytes_are_accepted_or_refused(body: bytes, accept: Callable[[bytes, Arrival], Accepted]) -> None:
    with contextlib.suppress(RequestError):
        accept(body, ARRIVAL)


@given(st.data(), st.sampled_from(sorted(EVENTS)))
def test_an_event_with_a_byte_changed_is_accepted_or_refused(data: st.DataObject, kind: str) -> None:
    body = bytearray(encode([EVENTS[kind]]))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    try:
        accepted = ACCEPTOR.events(bytes(body), ARRIVAL)
    except RequestError:
        return
    for message in accepted.messages:
        msgspec.json.decode(message.value, type=message.topic.payload)


@given(st.lists(st.sampled_from([*EVENTS.values(), *BAD_EVENTS]), max_size=12), st.booleans())
def test_good_events_are_accepted_and_bad_ones_listed(events: list[Any], as_batch: bool) -> None:
    good = [index for index, event in enumerate(events) if event in EVENTS.values()]
    try:
        if as_batch:
            accepted = ACCEPTOR.event_batch(encode({"events": events}), ARRIVAL)
        else:
            accepted = ACCEPTOR.events(encode(events), ARRIVAL)
    except Invalid as refusal:
        assert not good
        assert [error["index"] for error in refusal.errors] == list(range(len(events)))  # type: ignore[index]
        return
    assert len(accepted.messages) == len(accepted.ids) == len(good)
    assert [rejection.index for rejection in accepted.rejected] == [
        i for i in range(len(events)) if i not in good
    ]


@pytest.mark.parametrize(
    ("kind", "topic", "key"),
    [
        ("error", topics.ERRORS, "shop|KeyError"),
        ("metric", topics.METRICS, "shop|/items/:id"),
        ("page_view", topics.PAGE_VIEWS, "shop|/"),
        ("event", topics.EVENTS, "shop|checkout_completed"),
    ],
)
def test_an_event_goes_to_its_topic_in_an_envelope(kind: str, topic: topics.Topic, key: str) -> None:
    accepted = ACCEPTOR.events(encode(EVENTS[kind]), ARRIVAL)
    (message,) = accepted.messages
    envelope = msgspec.json.decode(message.value, type=topic.payload)
    assert (message.topic, message.key.decode()) == (topic, key)
    assert (envelope.id, envelope.project, envelope.source) == (accepted.ids[0], "shop", "server")
    assert envelope.received_at == envelope.occurred_at == ARRIVAL.received_at
    record = headers.decode(message.headers)
    assert record == (envelope.id, topic.type, topic.schema, ARRIVAL.traceparent)


def test_an_event_keeps_its_own_id_and_others_get_a_new_one() -> None:
    accepted = ACCEPTOR.events(encode([{**EVENTS["event"], "id": "order-4711"}, EVENTS["event"]]), ARRIVAL)
    assert accepted.ids[0] == "order-4711"
    assert uuid.UUID(accepted.ids[1]).version == 7


def test_a_key_is_utf8() -> None:
    (message,) = ACCEPTOR.events(encode({"type": "page_view", "page": "/straße/😀"}), ARRIVAL).messages
    assert message.key == "shop|/straße/😀".encode()


@pytest.mark.parametrize("text", ["a\x00b", "a\ud83d", "\udc00b"])
def test_text_that_cannot_be_stored_is_refused_item_by_item(text: str) -> None:
    good, bad = EVENTS["event"], {"type": "error", "message": "m", "tags": {"note": text}}
    accepted = ACCEPTOR.events(
        json.dumps([good, bad, {**good, "properties": {"emoji": "😀", "u": "\\u0000"}}]).encode(), ARRIVAL
    )
    assert [(rejected.index, rejected.flaw) for rejected in accepted.rejected] == [(1, Flaw.TEXT)]
    assert len(accepted.messages) == 2
    with pytest.raises(Malformed, match="cannot be stored"):
        ACCEPTOR.events(json.dumps(bad).encode(), ARRIVAL)


def test_of_members_with_one_name_all_are_checked_and_the_last_is_written_alone() -> None:
    """So nothing behind ingest can see another one than was checked."""
    (message,) = ACCEPTOR.events(b'{"type": "event", "name": "first", "name": "last"}', ARRIVAL).messages
    assert message.value.count(b'"name"') == 1
    assert msgspec.json.decode(message.value)["data"]["name"] == "last"
    with pytest.raises(Invalid):
        ACCEPTOR.events(b'{"type": "event", "name": "", "name": "last"}', ARRIVAL)


def test_nul_of_a_page_never_reaches_kafka() -> None:
    event = {"type": "error", "message": "a\x00b", "tags": {"\x00": "\x00"}}
    (message,) = ACCEPTOR.event_batch(encode({"events": [event]}), ARRIVAL).messages
    data = msgspec.json.decode(message.value, type=topics.ERRORS.payload).data
    assert (data.message, data.tags) == ("a\ufffdb", {"\ufffd": "\ufffd"})


def test_what_is_too_large_for_a_record_once_it_is_written_out_is_rejected() -> None:
    """1e15 has four characters as it is sent, and 18 on Kafka."""
    grows = {"type": "event", "name": "n", "properties": {"all": ["@"] * 1_000}}
    body = encode([EVENTS["event"], grows]).replace(b'"@"', b"1e15")
    accepted = Acceptor(items_max=10, record_bytes_max=10_000).events(body, ARRIVAL)
    assert len(body) < 10_000
    assert [(bad.index, bad.flaw) for bad in accepted.rejected] == [(1, Flaw.SIZE)]
    assert ACCEPTOR.events(body, ARRIVAL).rejected == []


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"[]", 422),
        (b"{}", 422),
        (b'{"type": "zzz"}', 422),
        (b'{"type": "metric", "name": "n", "value": 1e400}', 422),
        (b'{"type": "metric", "name": "n", "value": NaN}', 400),
        (b'{"type": ', 400),
        (b'{"type": "error", "message": "\xff"}', 400),
        (b'{"type": "event", "name": "n", "properties": {"p": ' + b"[" * 500 + b"]" * 500 + b"}}", 400),
        (b'{"type": "event", "name": "n", "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
        (b'{"type": "error", "message": "' + b"x" * 300_000 + b'"}', 413),
        (b"[" + b",".join([b'{"type": "page_view"}'] * 1001) + b"]", 413),
    ],
)
def test_what_cannot_be_taken_has_a_status(body: bytes, status: int) -> None:
    with pytest.raises(RequestError) as refusal:
        ACCEPTOR.events(body, ARRIVAL)
    assert refusal.value.status == status


def test_an_unknown_type_is_told_the_known_ones() -> None:
    with pytest.raises(Invalid, match=r"'zzz'.* error, metric, page_view, event"):
        ACCEPTOR.events(b'{"type": "zzz"}', ARRIVAL)
    with pytest.raises(Invalid, match=r"'zzz'.* send_notification, generate_report, cleanup_old_data"):
        ACCEPTOR.jobs(b'{"type": "zzz"}', ARRIVAL)


@pytest.mark.parametrize("body", [b"[]", b"{}", b'{"events": 1}', b'{"events": [], "sent_at": "yesterday"}'])
def test_a_batch_against_its_contract_is_invalid(body: bytes) -> None:
    with pytest.raises(Invalid):
        ACCEPTOR.event_batch(body, ARRIVAL)


def test_a_batch_that_is_no_json_is_malformed() -> None:
    for body in (b'{"events": [', b'{"events": [NaN]}', b'{"events": ' + b"[" * 100_000):
        with pytest.raises(Malformed):
            ACCEPTOR.event_batch(body, ARRIVAL)


def test_a_job_becomes_a_request_of_the_project_keyed_by_its_id() -> None:
    id = "01A207BD-A9C0-7482-9DDD-DA0B5796A670"
    job = {**JOB, "id": id, "priority": 9, "scheduled_at": "2026-11-24T06:00:00+01:00", "project": "other"}
    accepted = ACCEPTOR.jobs(encode(job), ARRIVAL)
    (message,) = accepted.messages
    request = msgspec.json.decode(message.value, type=topics.JOB_REQUESTS.payload)
    assert accepted.alone
    assert accepted.ids == [request.id] == [message.key.decode()] == [id.lower()]
    assert (request.project, request.priority, request.payload) == ("shop", 9, {"days": 7})
    assert request.scheduled_at.isoformat() == "2026-11-24T05:00:00+00:00"


def test_an_idempotency_key_gives_the_same_request_the_same_ids() -> None:
    own = "01a207bd-a9c0-7482-9ddd-da0b5796a670"
    body = encode([JOB, {**JOB, "id": own}, JOB])
    first = ACCEPTOR.jobs(body, ARRIVAL, idempotency_key="monday").ids
    assert first == ACCEPTOR.jobs(body, ARRIVAL, idempotency_key="monday").ids
    assert first[1] == own
    assert len(set(first)) == 3
    assert set(first).isdisjoint(set(ACCEPTOR.jobs(body, ARRIVAL, idempotency_key="tuesday").ids) - {own})


def test_an_idempotency_key_of_one_job_derives_its_id_from_project_and_key() -> None:
    accepted = ACCEPTOR.jobs(encode(JOB), ARRIVAL, idempotency_key="monday")
    assert accepted.ids == [ids.derived_id("job", "shop", "monday")]


@pytest.mark.parametrize(
    "wrong",
    [
        {"id": "4711"},
        {"id": "01a207bd-a9c0-7482-9ddd-da0b5796a670\n"},
        {"priority": 10},
        {"max_attempts": 0},
        {"payload": []},
        {"scheduled_at": "2026-11-24T06:00:00"},
        {"scheduled_at": "9999-12-31T23:59:59-12:00"},
    ],
)
def test_a_job_against_its_contract_is_invalid(wrong: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        ACCEPTOR.jobs(encode({**JOB, **wrong}), ARRIVAL)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"entity": "technicians", "key": "7"}, "technicians"),
        ({"pattern": "technicians:*"}, "technicians:*"),
        ({"tags": ["city:berlin", "vip"]}, "city:berlin"),
    ],
)
def test_a_change_becomes_an_invalidation(change: dict[str, Any], key: str) -> None:
    accepted = ACCEPTOR.changes(encode(change), ARRIVAL)
    (message,) = accepted.messages
    invalidation = msgspec.to_builtins(
        msgspec.json.decode(message.value, type=topics.INVALIDATIONS.payload), builtin_types=[type(None)]
    )
    assert (message.topic, message.key.decode()) == (topics.INVALIDATIONS, key)
    assert invalidation == {**change, "id": accepted.ids[0], "requested_at": "2026-11-23T12:00:00Z"}


@pytest.mark.parametrize(
    "change", [{}, {"key": "7"}, {"tags": []}, {"pattern": "*"}, {"entity": "Drop Table"}]
)
def test_a_change_that_says_nothing_is_invalid(change: dict[str, Any]) -> None:
    with pytest.raises(Invalid):
        ACCEPTOR.changes(encode(change), ARRIVAL)
