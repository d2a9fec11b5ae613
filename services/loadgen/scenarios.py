"""The scenarios: how many visitors for how long. They all do the same journeys (journey.py)."""

from typing import NamedTuple


class Scenario(NamedTuple):
    """One row of the table."""

    name: str
    #: Visitors at the same time.
    users: int
    duration_s: float
    #: Within how long they all arrive: everybody at once is a test of its own.
    ramp_s: float
    #: What one learns from it.
    description: str


SCENARIOS = {
    scenario.name: scenario
    for scenario in (
        Scenario("light", 50, 30, 5, "a quiet morning: does everything work at all"),
        Scenario("medium", 100, 60, 10, "an ordinary day"),
        Scenario("heavy", 200, 120, 20, "the busiest hour"),
        Scenario("stress", 500, 180, 30, "more than ever: what gives first"),
        Scenario("spike", 1000, 60, 1, "everybody at once, within a second"),
    )
}
