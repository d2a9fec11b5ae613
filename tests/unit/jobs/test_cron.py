"""When a schedule ticks."""

from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from services.jobs.cron import MISSED_TICKS_MAX, Missed, due_ticks, next_tick
from shared.errors import Invalid

BERLIN = ZoneInfo("Europe/Berlin")


def at(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("cron", "after", "expected"),
    [
        (
            "30 2 * * *",
            "2026-03-28T12:00+01:00",
            "2026-03-29T03:00+02:00",
        ),  # 02:30 does not exist: right after the gap
        (
            "30 2 * * *",
            "2026-10-24T12:00+02:00",
            "2026-10-25T02:30+02:00",
        ),  # 02:30 comes twice: the first one
        ("30 2 * * *", "2026-10-25T02:30+02:00", "2026-10-26T02:30+01:00"),  # and not the second
        (
            "*/30 * * * *",
            "2026-10-25T02:30+02:00",
            "2026-10-25T02:00+01:00",
        ),  # by real time through the change
        ("0 9 * * 1", "2026-11-23T09:00+01:00", "2026-11-30T09:00+01:00"),
    ],
)
def test_ticks_follow_the_clock_on_the_wall(cron: str, after: str, expected: str) -> None:
    assert next_tick(cron, "Europe/Berlin", at(after)) == at(expected)


def test_ticks_are_in_utc_and_strictly_later() -> None:
    tick = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
    assert next_tick("0 * * * *", "UTC", tick) == tick + timedelta(hours=1)


@pytest.mark.parametrize(
    ("cron", "timezone"),
    [("", "UTC"), ("* * *", "UTC"), ("61 * * * *", "UTC"), ("* * * * *", "Nowhere/At-all"), ("* * * * *", "../x"),
     ("0 0 30 2 *", "UTC")],
)  # fmt: skip
def test_what_is_no_schedule_is_refused(cron: str, timezone: str) -> None:
    with pytest.raises(Invalid):
        next_tick(cron, timezone, datetime(2026, 1, 1, tzinfo=UTC))


def test_missed_ticks_by_policy() -> None:
    first = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
    now = first + timedelta(hours=5, minutes=30)

    def ticks(missed: Missed) -> list[datetime]:
        due, following = due_ticks("0 * * * *", "UTC", first=first, now=now, missed=missed)
        assert following == first + timedelta(hours=6)
        return due

    assert ticks(Missed.ALL) == [first + timedelta(hours=hour) for hour in range(6)]
    assert ticks(Missed.ONCE) == [first + timedelta(hours=5)]
    assert ticks(Missed.SKIP) == []


def test_a_tick_that_is_found_in_time_is_not_missed() -> None:
    first = datetime(2026, 11, 23, 0, 0, tzinfo=UTC)
    due, _ = due_ticks("0 * * * *", "UTC", first=first, now=first + timedelta(seconds=2), missed=Missed.SKIP)
    assert due == [first]


def test_no_policy_makes_a_flood() -> None:
    first = datetime(2026, 1, 1, tzinfo=UTC)
    due, _ = due_ticks("* * * * *", "UTC", first=first, now=first + timedelta(days=2), missed=Missed.ALL)
    assert len(due) == MISSED_TICKS_MAX
    assert due[-1] == first + timedelta(days=2)
