"""Any bytes are an envelope or a refusal, and a broken item costs no other."""

import contextlib
import json
import tracemalloc
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest import messages
from services.ingest.sentry import envelope, errors, items, lenient
from services.ingest.sentry.envelope import ITEMS_MAX, parse
from shared.contracts.events import Error
from shared.errors import Malformed, RequestError, TooLarge
from tests.unit.ingest.doubles import ARRIVAL
from tests.unit.ingest.sentry.recordings import NAMES, recorded

EVENT = {"message": "no"}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = (*errors.Payload.__struct_fields__, "items", "attributes", "data", "discarded_events", "spans")
payloads = st.dictionaries(st.sampled_from(FIELDS), json_values, max_size=6)
types = st.sampled_from([*items._READERS, "session", "never_heard_of"])


def lines(*parts: Any) -> bytes:
    return b"\n".join(part if isinstance(part, bytes) else json.dumps(part).encode() for part in parts)


def read(body: bytes) -> items.Read:
    return items.read(parse(body), user_agent="")


@given(st.binary(max_size=400) | st.binary(max_size=400).map(lambda tail: b"{}\n" + tail))
def test_any_bytes_are_an_envelope_or_a_refusal(body: bytes) -> None:
    with contextlib.suppress(RequestError):
        read(body)


@given(st.data(), st.sampled_from(NAMES))
def test_a_recorded_envelope_with_a_byte_changed_is_one_too(data: st.DataObject, name: str) -> None:
    body = bytearray(recorded(name))
    body[data.draw(st.integers(0, len(body) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(RequestError):
        require_storable(read(bytes(body)))


@given(types, payloads, st.sampled_from(["", "application/vnd.sentry.items.span.v2+json"]))
def test_whatever_an_item_holds_what_it_becomes_follows_our_contract(
    type: str, payload: dict[str, Any], content_type: str
) -> None:
    header = {"type": type, "content_type": content_type}
    require_storable(read(lines({"event_id": "a" * 32}, header, payload, {"type": "event"}, EVENT)))


def require_storable(found: items.Read) -> None:
    """Every event is on its topic what that topic's readers decode."""
    for event in found.events:
        message = messages.of_event(event, ARRIVAL).message
        msgspec.json.decode(message.value, type=message.topic.payload)


@pytest.mark.parametrize(
    "broken",
    [
        [b"{", EVENT],
        [{"no": "type"}, EVENT],
        [{"type": "event"}, b"{"],
        [{"type": "event"}, b'{"message": "\xff"}'],
        [{"type": "event"}, b"[" * 5_000],
        [{"type": "event", "length": 1_000_000}, EVENT],
        [{"type": "event", "length": 3}, EVENT],
        [{"type": "event", "length": -1}, EVENT],
        [{"type": "transaction"}, {}],
        [{"type": "span", "content_type": "application/vnd.sentry.items.span.v2+json"}, {"items": 7}],
    ],
    ids=str,
)
def test_a_broken_item_harms_only_itself(broken: list[Any]) -> None:
    found = read(lines({}, {"type": "event"}, EVENT, *broken, {"type": "event"}, {"message": "after"}, b""))
    assert [event.message for event in found.events if isinstance(event, Error)] == ["no", "after"]
    assert len(found.flaws) == 1


def test_payloads_may_have_lengths_newlines_and_no_end() -> None:
    binary = b"any\nbytes\n{}\xff"
    body = lines(
        {"event_id": "12C2D058-D584-4270-9AA2-ECA08BF20986", "sent_at": "2026-11-23T12:00:00.5Z"},
        {"type": "attachment", "length": len(binary)},
        binary,
        b"",
        {"type": "event", "content_type": "application/json"},
        EVENT,
    )
    found = parse(body)
    assert found.event_id == "12c2d058d58442709aa2eca08bf20986"
    assert found.sent_at == datetime(2026, 11, 23, 12, 0, 0, 500_000, UTC)
    assert [(item.type, bytes(item.payload)) for item in found.items] == [
        ("attachment", binary),
        ("event", json.dumps(EVENT).encode()),
    ]
    assert not found.broken


@pytest.mark.parametrize("body", [b"", b"\n", b"[]", b"null", b"{", b"\xff", b"{" * 100_000])
def test_without_headers_it_is_no_envelope(body: bytes) -> None:
    with pytest.raises(Malformed):
        parse(body)


def test_half_an_emoji_in_a_header_or_an_event_costs_half_an_emoji() -> None:
    body = (
        b'{"trace":{"transaction":"\\ud83d"}}\n{"type":"event"}\n{"message":"\\udc4d \\u0000 \\ud83d\\udc4d"}'
    )
    [event] = read(body).events
    assert isinstance(event, Error)
    assert event.message == "\ufffd \ufffd \U0001f44d"


def test_headers_alone_are_an_empty_envelope() -> None:
    assert parse(b"{}").items == []


@pytest.mark.parametrize("filler", [b"\n", b"{}\n", b'{"type":"event"}\n{}\n', b"x\n"])
def test_a_million_items_are_refused_in_no_time_and_no_memory(filler: bytes) -> None:
    body = b"{}\n" + filler * (4_000_000 // len(filler))
    tracemalloc.start()
    with pytest.raises(TooLarge, match=str(ITEMS_MAX)):
        parse(body)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2_000_000


def test_python_writes_nan_and_the_report_is_read() -> None:
    found = read(
        lines({}, {"type": "event"}, b'{"message": "no", "extra": {"ratio": NaN, "most": -Infinity}}')
    )
    [event] = found.events
    assert isinstance(event, Error)
    assert event.contexts["extra"] == {"ratio": None, "most": None}


@pytest.mark.parametrize(
    ("written", "read_"),
    [
        ("2026-11-23T12:00:00Z", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23T13:00:00+01:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        ("2026-11-23 12:00:00", datetime(2026, 11, 23, 12, tzinfo=UTC)),
        (1_795_435_200, datetime(2026, 11, 23, 12, tzinfo=UTC)),
        (1_795_435_200.25, datetime(2026, 11, 23, 12, 0, 0, 250_000, UTC)),
        ("yesterday", None),
        (1e300, None),
        (True, None),
        ({}, None),
    ],
    ids=str,
)
def test_times_come_in_two_spellings(written: object, read_: datetime | None) -> None:
    assert lenient.instant(written) == read_


def test_an_id_of_zeros_is_none() -> None:
    assert envelope.event_id("0" * 32) == ""
