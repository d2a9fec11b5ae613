"""Nemeses: schedules of faults. Each does one after the other, tells of it, and leaves everything running, or about to."""

import random
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

from tests.chaos.site import Fault, Site


class Pace(NamedTuple):
    """How long things take, in seconds."""

    #: Traffic before the first fault, and after ingest has recovered from the last one.
    calm_s: float
    kill_for_s: float
    kill_every_s: float
    frozen_s: float
    away_s: float


FULL = Pace(calm_s=5.0, kill_for_s=120.0, kill_every_s=5.0, frozen_s=3.0, away_s=300.0)
QUICK = Pace(calm_s=2.0, kill_for_s=20.0, kill_every_s=5.0, frozen_s=3.0, away_s=20.0)

#: Raises FaultNotProved. The random numbers are the schedule's only ones.
Nemesis = Callable[[Site, Pace, random.Random], Iterator[Fault]]


def kill_in_turn(here: Site, pace: Pace, rng: random.Random) -> Iterator[Fault]:
    """Ingest and Kafka in turn; a little early or late, so that kills meet every moment of a start."""
    began = time.monotonic()
    for number in range(round(pace.kill_for_s / pace.kill_every_s)):
        due = began + (number + rng.uniform(-0.1, 0.1)) * pace.kill_every_s
        time.sleep(max(0.0, due - time.monotonic()))
        yield (here.ingest if number % 2 == 0 else here.kafka).kill()


def freeze_kafka(here: Site, pace: Pace, rng: random.Random) -> Iterator[Fault]:
    """It stops for some seconds, with all its connections open."""
    time.sleep(rng.uniform(0.0, 1.0))
    yield here.kafka.freeze(pace.frozen_s)


def keep_kafka_away(here: Site, pace: Pace, rng: random.Random) -> Iterator[Fault]:
    """It is killed, and stays away."""
    fault = here.kafka.kill(hold=True)
    yield fault
    time.sleep(max(0.0, fault.at + pace.away_s - time.monotonic()))
    here.kafka.require_dead()
    here.kafka.release()
