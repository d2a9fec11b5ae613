"""Which hint is next."""

from collections import Counter

from services.jobs.lanes import WEIGHTS, Lanes
from shared.contracts.jobs import JobHint, Lane, lane_of

PRIORITY = {Lane.P0: 9, Lane.P1: 7, Lane.P2: 5, Lane.P3: 0}


def filled(per_lane: int) -> Lanes:
    lanes = Lanes(hints_max=per_lane)
    for lane, priority in PRIORITY.items():
        for number in range(per_lane):
            lanes.add(lane, JobHint(id=f"{lane.name}-{number}", type="t", priority=priority))
    return lanes


def test_urgent_work_gets_most_turns_and_bulk_still_gets_some() -> None:
    turns = Counter(lane_of(hint.priority) for hint in filled(100).take(sum(WEIGHTS.values())))
    assert turns == WEIGHTS


def test_a_lane_keeps_its_order() -> None:
    taken = [hint.id for hint in filled(5).take(20) if hint.id.startswith("P3")]
    assert taken == [f"P3-{number}" for number in range(5)]


def test_reserved_slots_take_only_the_most_urgent() -> None:
    lanes = filled(3)
    assert {hint.priority for hint in lanes.take(10, urgent_only=True)} == {9}
    assert len(lanes) == 9


def test_a_lane_alone_gets_every_turn() -> None:
    lanes = Lanes(hints_max=10)
    for number in range(4):
        lanes.add(Lane.P3, JobHint(id=str(number), type="t", priority=0))
    assert [hint.id for hint in lanes.take(10)] == ["0", "1", "2", "3"]
    assert lanes.room(Lane.P3) == 10


def test_every_priority_has_its_lane() -> None:
    assert [lane_of(priority).name for priority in range(10)] == ["P3"] * 3 + ["P2"] * 3 + ["P1"] * 2 + [
        "P0"
    ] * 2
