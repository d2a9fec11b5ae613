"""When a schedule ticks. Pure; the rules of daylight saving are those of Debian's cron (as cronsim has them).

A job at a time of day runs once when clocks go back, and right after the gap when they go forward; one that runs
every few minutes goes on by real time.
"""

from collections.abc import Iterator
from datetime import UTC, datetime
from enum import StrEnum
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from cronsim import CronSim, CronSimError

from shared.errors import Invalid

#: Ticks that are made up for at most, by the policy `all`: a week of minutes would be a flood, not a repair.
MISSED_TICKS_MAX = 100


class Missed(StrEnum):
    """What becomes of ticks that passed while no worker ran."""

    #: One job, for the last of them.
    ONCE = "once"
    #: A job for each, the newest MISSED_TICKS_MAX of them.
    ALL = "all"
    #: None.
    SKIP = "skip"


#: A tick that is no older than this was not missed, only found late.
LATE_S = 60.0


def next_tick(cron: str, timezone: str, after: datetime) -> datetime:
    """The first tick after a moment, in UTC. Raises Invalid when the expression or the time zone is none."""
    return next(_ticks(cron, timezone, after))


def due_ticks(
    cron: str, timezone: str, *, first: datetime, now: datetime, missed: Missed
) -> tuple[list[datetime], datetime]:
    """The ticks from `first`, itself one, up to now that become jobs, and the tick after them.

    Raises Invalid as `next_tick` does, and when there never is another tick.
    """
    due = [first]
    upcoming = _ticks(cron, timezone, first)
    following = next(upcoming)
    while following <= now:
        due.append(following)
        if len(due) > MISSED_TICKS_MAX:
            due.pop(0)
        following = next(upcoming)
    on_time = [tick for tick in due if (now - tick).total_seconds() <= LATE_S]
    match missed:
        case Missed.ALL:
            return due, following
        case Missed.ONCE:
            return due[-1:], following
        case Missed.SKIP:
            return on_time[-1:], following


def _ticks(cron: str, timezone: str, after: datetime) -> Iterator[datetime]:
    try:
        zone = ZoneInfo(timezone)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Invalid(f"timezone: {timezone!r} is no IANA time zone, such as Europe/Berlin.") from error
    try:
        found = CronSim(cron, after.astimezone(zone))
        for tick in found:
            utc = tick.astimezone(UTC)
            # A tick in the hour that clocks repeat can come out before the moment it was asked for.
            if utc > after:
                yield utc
    except CronSimError as error:
        raise Invalid(f"cron: {cron!r} is no cron expression of five fields: {error}.") from error
    raise Invalid(f"cron: {cron!r} never comes.")
