"""What a client's caches are told."""

import pytest

from services.cache.answers import matches, respond
from services.cache.cache import Answer, Outcome
from services.cache.entry import Entry

ENTRY = Entry(b'{"key":"technicians:1"}', 'W/"abc"', ("technicians:1",))


@pytest.mark.parametrize(
    ("if_none_match", "expected"),
    [
        ('W/"abc"', True),
        ('"abc"', True),
        ('"x", W/"abc"', True),
        ("*", True),
        ('"abcd"', False),
        ("", False),
    ],
)
def test_etags_are_compared_weakly(if_none_match: str, expected: bool) -> None:
    assert matches(if_none_match, 'W/"abc"') is expected


@pytest.mark.parametrize(
    ("answer", "cache_status"),
    [
        (Answer(ENTRY, Outcome.HIT, 12.9, level="l1"), "signalbox; hit; ttl=12; detail=l1"),
        (
            Answer(ENTRY, Outcome.HIT, 12.0, level="l2", collapsed=True),
            "signalbox; hit; ttl=12; detail=l2; collapsed",
        ),
        (Answer(ENTRY, Outcome.MISS, 120.0, stored=True), "signalbox; fwd=uri-miss; ttl=120; stored"),
        (Answer(ENTRY, Outcome.MISS, 120.0), "signalbox; fwd=uri-miss; ttl=120"),
        (Answer(ENTRY, Outcome.STALE, 5.0), "signalbox; hit; ttl=5; detail=unconfirmed"),
    ],
)
def test_an_answer_says_how_it_was_come_by(answer: Answer, cache_status: str) -> None:
    response = respond(answer, if_none_match=None, redis_in_use=True)
    assert response.headers["x-cache"] == answer.outcome.value
    assert response.headers["cache-status"] == cache_status
    assert response.headers["etag"] == ENTRY.etag
    assert response.body == ENTRY.body


def test_who_has_the_data_gets_a_304_without_a_body() -> None:
    response = respond(Answer(ENTRY, Outcome.HIT, 9, level="l1"), if_none_match='W/"abc"', redis_in_use=True)
    assert (response.status_code, response.body) == (304, b"")
    assert response.headers["cache-control"] == "public, max-age=9"


def test_nobody_keeps_what_could_not_be_confirmed() -> None:
    response = respond(Answer(ENTRY, Outcome.STALE, 9), if_none_match=None, redis_in_use=False)
    assert response.headers["cache-control"] == "public, max-age=0"
    assert response.headers["warning"].startswith("110 ")


def test_an_answer_without_redis_carries_a_warning() -> None:
    response = respond(Answer(ENTRY, Outcome.HIT, 9, level="l1"), if_none_match=None, redis_in_use=False)
    assert response.headers["warning"].startswith("199 ")
