"""When events happened, by our clock."""

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.messages import FUTURE_MAX, occurred_at
from tests.unit.ingest.doubles import NOW

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
instants = st.datetimes(timezones=offsets)


def seconds(count: float) -> timedelta:
    return timedelta(seconds=count)


@given(st.none() | instants, st.none() | instants)
def test_every_time_has_an_answer_in_utc_that_is_not_in_the_future(
    timestamp: datetime | None, sent_at: datetime | None
) -> None:
    occurred = occurred_at(timestamp, sent_at=sent_at, received_at=NOW)
    assert occurred.tzinfo is UTC
    assert occurred <= NOW + FUTURE_MAX


@given(st.floats(-1e6, 1e6), st.floats(2, 1e6) | st.floats(-1e6, -2))
def test_a_clock_that_is_off_is_corrected(age_s: float, off_s: float) -> None:
    """The client's clock is ahead by `off_s` when it stamps the event and when it sends it."""
    happened = NOW - seconds(abs(age_s))
    occurred = occurred_at(happened + seconds(off_s), sent_at=NOW + seconds(off_s), received_at=NOW)
    assert abs(occurred - happened) <= seconds(1e-3)


@pytest.mark.parametrize(
    ("timestamp", "sent_at", "occurred"),
    [
        (None, None, NOW),
        (None, NOW - seconds(100), NOW),
        (NOW - seconds(30), None, NOW - seconds(30)),
        (NOW - seconds(30), NOW - seconds(1), NOW - seconds(30)),  # the network took a second
        (NOW + seconds(60), None, NOW + seconds(60)),
        (NOW + seconds(121), None, NOW),
    ],
)
def test_a_clock_that_is_right_is_believed(
    timestamp: datetime | None, sent_at: datetime | None, occurred: datetime
) -> None:
    assert occurred_at(timestamp, sent_at=sent_at, received_at=NOW) == occurred
