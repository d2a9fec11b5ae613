"""The command line: its words, its help, and what is wrong with what was typed."""

import argparse
from collections.abc import Callable
from pathlib import Path

from services.loadgen import thresholds
from services.loadgen.scenarios import SCENARIOS
from services.loadgen.thresholds import Threshold


def parser() -> argparse.ArgumentParser:
    root = argparse.ArgumentParser(
        prog="python -m services.loadgen",
        description="Load signalbox as its visitors do, and say how it held up. Without arguments: a menu.",
        epilog="exit status: 0 met, 1 a threshold missed, 2 bad usage, 3 target unreachable, 4 the generator itself "
        "was saturated. Addresses and keys come from the environment: CACHE_URL, JOBS_URL, SIGNALBOX_PUBLIC_KEY, "
        "SIGNALBOX_SECRET_KEY; hosts other than this machine must be listed in SIGNALBOX_LOADGEN_TARGETS_ALLOWED.",
    )
    commands = root.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("list", help="the scenarios")
    command = commands.add_parser("run", help="load a target")
    command.add_argument("scenario", choices=list(SCENARIOS), metavar="SCENARIO", help=", ".join(SCENARIOS))
    command.add_argument("--target", metavar="URL", help="ingest's address (default: INGEST_URL)")
    command.add_argument(
        "--users", type=_positive(int), metavar="N", help="visitors at a time, thinking between requests"
    )
    command.add_argument("--duration", type=_positive(float), metavar="S", help="seconds of sending")
    command.add_argument(
        "--rate",
        type=_positive(float),
        metavar="R",
        help="requests a second whatever the answers do, in place of visitors who think",
    )
    command.add_argument("--seed", type=int, default=1, metavar="N", help="another seed is other traffic")
    command.add_argument("--report", type=Path, metavar="DIR", help="write result.json and report.md there")
    command.add_argument("--json", type=Path, metavar="FILE", help="write the result as JSON")
    command.add_argument(
        "--fail-on",
        type=_conditions,
        default=[],
        metavar="CONDITIONS",
        help="such as p95<200ms,errors<1%%: p50 p95 p99 avg max in ms or s, errors in %%, rps",
    )
    command.add_argument("--no-publish", action="store_true", help="do not tell Kafka about the outcome")
    return root


def _positive(kind: Callable[[str], float]) -> Callable[[str], float]:
    def read(text: str) -> float:
        try:
            value = kind(text)
        except ValueError:
            value = 0
        if not 0 < value < float("inf"):
            raise argparse.ArgumentTypeError(f"{text!r} is not a positive {'whole ' * (kind is int)}number")
        return value

    return read


def _conditions(text: str) -> list[Threshold]:
    try:
        return thresholds.parse(text)
    except thresholds.BadThreshold as error:
        raise argparse.ArgumentTypeError(str(error)) from None
