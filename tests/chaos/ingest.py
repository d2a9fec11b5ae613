"""The part `ingest`: what was answered 2xx is stored once, whatever happens to ingest and to Kafka meanwhile.

Each case drives traffic from a process of its own, does its worst, waits until ingest and the workers have caught up,
and compares the history with the database.
"""

import asyncio
import os
import random
import time
from collections import Counter
from dataclasses import dataclass
from typing import Any, NamedTuple

from deploy.local.server import Say
from deploy.local.settings import Settings
from tests.chaos import checker, history, nemeses
from tests.chaos import stored as database
from tests.chaos.checker import Verdict
from tests.chaos.nemeses import Nemesis, Pace
from tests.chaos.report import Case
from tests.chaos.sender import Sender
from tests.chaos.site import Fault, FaultNotProved, Site, site
from tests.chaos.watch import Watch, replay_rate

#: Promised of ingest.
MEMORY_GROWTH_BYTES_MAX = 64 * 1_048_576
REPLAY_RATIO_MIN = 5.0

_CAUGHT_UP_WITHIN_S = 120.0


@dataclass(frozen=True)
class Plan:
    """One case."""

    #: What every event of it is called.
    label: str
    title: str
    #: Requests a second.
    rate: float
    nemesis: Nemesis
    #: Whether the speed of the replay is judged.
    replays: bool = False


PLANS = (
    Plan("kills", "ingest: kill -9 of ingest and Kafka in turn", 500.0, nemeses.kill_in_turn),
    Plan("frozen", "ingest: Kafka frozen", 500.0, nemeses.freeze_kafka),
    Plan("away", "ingest: Kafka away", 200.0, nemeses.keep_kafka_away, replays=True),
)


class _Course(NamedTuple):
    """How a case went, up to the end of its traffic."""

    #: On the monotonic clock: traffic began, and ingest had recovered from the last fault.
    began: float
    recovered_at: float
    sent_for_s: float
    #: Requests that the generator could not begin.
    skipped: int
    faults: list[Fault]
    problems: list[str]


def run(settings: Settings, *, seed: int, quick: bool, only: frozenset[str], say: Say) -> list[Case]:
    """All cases, or those of `only`, on one stack. Raises LocalStackError when that cannot be had."""
    pace = nemeses.QUICK if quick else nemeses.FULL
    with site(settings, say) as here:
        return [_run(plan, here, pace, seed, say) for plan in PLANS if not only or plan.label in only]


def _run(plan: Plan, here: Site, pace: Pace, seed: int, say: Say) -> Case:
    say(f"{plan.title}: {plan.rate:g} requests/s")
    rng = random.Random(f"{seed} {plan.label}")
    path = here.folder / f"{plan.label}.history"
    bootstrap = here.variables["KAFKA_BOOTSTRAP_SERVERS"]
    before, crashes = asyncio.run(database.progress(bootstrap)), _crashes(here)
    began = time.monotonic()
    with Watch(here.ingest, here.variables["INGEST_URL"]) as watch:
        sender = Sender(here.variables, path, label=plan.label, rate=plan.rate, seed=rng.randrange(2**32))
        with sender:
            course = _hurt(plan, here, pace, rng, sender, watch, say)
        if not watch.wait_until_live(_CAUGHT_UP_WITHIN_S):
            course.problems.append("ingest holds records back though traffic has ended")
    after = asyncio.run(database.all_consumed(bootstrap, say))
    if after.committed < after.written:
        course.problems.append(
            f"the workers stopped {after.written - after.committed} records before the end"
        )
    requests = list(history.read(path))
    there = asyncio.run(database.stored(here.variables["POSTGRES_DSN"], plan.label))
    verdict = checker.check(requests, there, here.ingest.down)
    crashed = _crashes(here) - crashes
    figures: dict[str, Any] = {
        "requests_per_s": round(verdict.requests / course.sent_for_s, 1),
        "requests_skipped": course.skipped,
        **_figures(verdict, watch),
        **_answer_times(verdict, course),
        "records_on_kafka_twice": after.written - before.written - len(there.rows),
        "crashes": dict(crashed),
    }
    problems = [*verdict.problems(), *course.problems, *_broken(watch, crashed)]
    if plan.replays:
        live = sum(len(request.items) for request in requests) / course.sent_for_s
        problems += _judge_replay(watch, live, figures)
    return Case(
        case=plan.title,
        acknowledged=verdict.acknowledged,
        lost=len(verdict.lost),
        doubled=verdict.doubled,
        stale=0,
        seconds=round(time.monotonic() - began, 1),
        passed=not problems,
        problems=problems,
        figures=figures,
        faults=[fault.told(began) for fault in course.faults],
    )


def _hurt(
    plan: Plan, here: Site, pace: Pace, rng: random.Random, sender: Sender, watch: Watch, say: Say
) -> _Course:
    """Calm, faults, recovery and calm, under traffic; then the traffic's end."""
    faults: list[Fault] = []
    problems: list[str] = []
    began = time.monotonic()
    time.sleep(pace.calm_s)
    try:
        for fault in plan.nemesis(here, pace, rng):
            faults.append(fault)
            say(f"  {fault.at - began:6.1f} s  {fault.target}: {fault.fault}, {fault.proof}")
    except FaultNotProved as error:
        problems.append(f"a fault was not proved: {error}")
        for keeper in (here.kafka, here.ingest):
            keeper.release()
    if not watch.wait_until_live(_CAUGHT_UP_WITHIN_S):
        problems.append(f"ingest had not caught up after {_CAUGHT_UP_WITHIN_S:g} s of traffic")
    recovered_at = time.monotonic()
    time.sleep(pace.calm_s)
    sent_for_s = time.monotonic() - began
    return _Course(began, recovered_at, sent_for_s, sender.end(), faults, problems)


def _broken(watch: Watch, crashed: Counter[str]) -> list[str]:
    """What ingest itself shows to be wrong."""
    found = []
    growth = watch.memory_growth_bytes()
    if growth >= MEMORY_GROWTH_BYTES_MAX:
        found.append(f"ingest's memory grew by {growth / 1_048_576:.0f} MiB")
    if crashed["ingest"]:
        found.append("ingest ended though nobody killed it")
    if not watch.samples:
        found.append("ingest's metrics were never seen")
    elif dropped := max(sample.dropped for sample in watch.samples):
        found.append(f"{dropped:.0f} records dropped, by ingest's own account")
    return found


def _judge_replay(watch: Watch, live_rate: float, figures: dict[str, Any]) -> list[str]:
    replayed = replay_rate(watch.samples)
    ratio = replayed / live_rate
    figures["records_live_per_s"] = round(live_rate)
    figures["records_replayed_per_s"] = round(replayed)
    figures["replay_ratio"] = round(ratio, 1)
    if ratio >= REPLAY_RATIO_MIN:
        return []
    return [f"the spool was replayed at {ratio:.1f} times the live rate, not {REPLAY_RATIO_MIN:g}"]


def _figures(verdict: Verdict, watch: Watch) -> dict[str, Any]:
    return {
        "requests": verdict.requests,
        "requests_unacknowledged": verdict.unacknowledged,
        "requests_retried": verdict.retried,
        "unanswered": dict(verdict.unanswered),
        "unexplained": dict(verdict.unexplained),
        "refusals": dict(verdict.refusals),
        "events_uncounted": verdict.uncounted,
        "events_invented": len(verdict.invented),
        "spool_records_max": int(max((sample.spool_records for sample in watch.samples), default=0)),
        "memory_growth_mib": round(watch.memory_growth_bytes() / 1_048_576, 1),
        "ingest_processes": len(watch.memory),
        # What the rest depends on: of one core, and how many processes wanted one.
        "ingest_cpu_share": round(watch.cpu_share(), 2),
        "machine_load": round(os.getloadavg()[0], 1),
        "machine_cpus": len(os.sched_getaffinity(0)),
    }


def _answer_times(verdict: Verdict, course: _Course) -> dict[str, Any]:
    """In ms, before the first fault, until ingest had recovered from the last one, and from then on."""
    hurt_at = course.faults[0].at if course.faults else course.recovered_at
    stretches = {
        "before": (course.began, hurt_at),
        "during": (hurt_at, course.recovered_at),
        "after": (course.recovered_at, float("inf")),
    }
    times: dict[str, Any] = {
        f"answers_{name}_ms": {
            label: round(verdict.quantile_s(q, *stretch) * 1e3, 1)
            for label, q in (("p50", 0.5), ("p99", 0.99), ("max", 1.0))
        }
        for name, stretch in stretches.items()
    }
    return {**times, "recovered_after_s": round(course.recovered_at - hurt_at, 1)}


def _crashes(here: Site) -> Counter[str]:
    """How often each died by itself so far; the workers may, when Kafka goes: their supervisor is counted on."""
    return Counter({keeper.server.name: keeper.crashes for keeper in (here.ingest, here.kafka, here.jobs)})
