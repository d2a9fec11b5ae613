"""Headers: what is written is read back, and a dead letter loses nothing of what came."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from docs.generate import record_headers
from shared.contracts import dead_letter, headers
from shared.contracts.dead_letter import Origin
from shared.errors import PoisonRecord

texts = st.text(max_size=200)
names = st.text(min_size=1, max_size=40).filter(lambda name: not name.startswith("dead_letter_"))
raw_headers = st.lists(st.tuples(names, st.binary(max_size=100)), max_size=8)
origins = st.builds(
    Origin,
    topic=st.just("signalbox.errors.v1"),
    partition=st.integers(0, 2**31 - 1),
    offset=st.integers(0, 2**63 - 1),
    timestamp_ms=st.integers(0, 2**63 - 1),
)


@given(id=texts, type=texts, schema=texts, source=texts, traceparent=texts)
def test_headers_round_trip(id: str, type: str, schema: str, source: str, traceparent: str) -> None:
    written = headers.encode(id=id, type=type, schema=schema, source=source, traceparent=traceparent)
    assert headers.decode(written) == (id, type, schema, traceparent)


def test_headers_are_cloudevents_in_kafkas_binary_mode() -> None:
    written = dict(headers.encode(id="1", type="error", schema="urn:signalbox:errors:v1", source="ingest"))
    assert written == {
        "ce_specversion": b"1.0",
        "content-type": b"application/json",
        "ce_id": b"1",
        "ce_type": b"error",
        "ce_source": b"/signalbox/ingest",
        "ce_dataschema": b"urn:signalbox:errors:v1",
    }


@given(value=st.binary(max_size=100))
def test_a_foreign_header_is_read_as_utf8_or_refused_as_poison(value: bytes) -> None:
    try:
        text = value.decode()
    except UnicodeDecodeError:
        with pytest.raises(PoisonRecord, match=r"^headers: "):
            headers.decode([("ce_id", value)])
    else:
        assert headers.decode([("ce_id", value), ("unknown", b"\xff")]).id == text


def test_a_record_without_headers_is_read() -> None:
    assert headers.decode([]) == ("", "", "", "")


@given(original=raw_headers, origin=origins, detail=st.text(max_size=2000))
def test_a_dead_letter_keeps_the_original_headers(
    original: headers.Headers, origin: Origin, detail: str
) -> None:
    dead = dead_letter.headers(original, origin=origin, reason="json", detail=detail, service="jobs")
    assert dead[: len(original)] == original
    added = dict(dead[len(original) :])
    assert list(added) == list(record_headers.of_dead_letters())
    assert int(added["dead_letter_partition"]) == origin.partition
    assert int(added["dead_letter_offset"]) == origin.offset
    assert int(added["dead_letter_timestamp_ms"]) == origin.timestamp_ms
    assert added["dead_letter_topic"].decode() == origin.topic
    assert len(added["dead_letter_detail"].decode()) <= 1000


@given(original=raw_headers, first=origins, second=origins)
def test_a_dead_letter_that_dies_again_tells_only_of_the_last_time(
    original: headers.Headers, first: Origin, second: Origin
) -> None:
    once = dead_letter.headers(original, origin=first, reason="json", detail="first", service="jobs")
    again = dead_letter.headers(once, origin=second, reason="schema", detail="second", service="cache")
    assert again == dead_letter.headers(
        original, origin=second, reason="schema", detail="second", service="cache"
    )


@pytest.mark.parametrize("traceparent", ["", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"])
def test_common_headers_are_those_of_encode(traceparent: str) -> None:
    parts = {"type": "signalbox.metric", "schema": "urn:signalbox:metrics:v1", "source": "ingest"}
    common = headers.Common(**parts)
    for id in ("first", "second"):
        assert common.of(id=id, traceparent=traceparent) == headers.encode(
            id=id, traceparent=traceparent, **parts
        )
