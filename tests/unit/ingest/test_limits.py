"""Backpressure counts bytes."""

import pytest

from services.ingest.limits import InFlight
from shared.errors import Unavailable


def test_what_is_over_the_room_is_refused_until_something_leaves() -> None:
    room = InFlight(bytes_max=100)
    with room.hold(60):
        with pytest.raises(Unavailable), room.hold(41):
            pass
        with room.hold(40), pytest.raises(Unavailable):
            room.check()
        room.check()
    with room.hold(100):
        pass


def test_room_is_given_back_when_a_request_fails() -> None:
    room = InFlight(bytes_max=100)
    for _ in range(3):
        with pytest.raises(ValueError, match="mine"), room.hold(100):
            raise ValueError("mine")
    room.check()


def test_one_body_is_let_in_however_large() -> None:
    room = InFlight(bytes_max=100)
    with room.hold(1_000), pytest.raises(Unavailable) as refusal:
        room.check()
    assert 1 <= (refusal.value.retry_after_s or 0) <= 5
