"""`python -m tests.chaos [PART] [--quick] [--seed N] [--only CASE]`: hurt a part, and look for what was lost.

It writes `.local/chaos.json` and prints the same. Exit status: 0 every case passed, 1 one did not, or none could be
run, 2 bad usage.
"""

import argparse
import os
import random
import sys

from deploy.local.errors import LocalStackError
from deploy.local.settings import Settings
from tests.chaos import ingest
from tests.chaos.report import Case, Report

#: Each with `run(settings, seed, quick, only, say) -> list[Case]`.
PARTS = {"ingest": ingest}


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__.split("\n")[0])
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"{', '.join(PARTS)}; all when absent")
    parser.add_argument("--quick", action="store_true", help="the same faults in seconds instead of minutes")
    parser.add_argument("--seed", type=int, help="of the schedule, to have it again")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CASE", help="of the part, such as away"
    )
    options = parser.parse_args()
    if unknown := set(options.parts) - set(PARTS):
        parser.error(f"no part is named {', '.join(sorted(unknown))}; there are {', '.join(PARTS)}")
    seed = random.randrange(2**32) if options.seed is None else options.seed
    quick = options.quick or os.environ.get("QUICK", "") not in ("", "0")
    settings = Settings.from_environ(os.environ)
    _say(f"seed {seed} (--seed {seed} runs the same schedule)")
    cases: list[Case] = []
    try:
        for name in options.parts or PARTS:
            cases += PARTS[name].run(settings, seed=seed, quick=quick, only=frozenset(options.only), say=_say)
    except LocalStackError as error:
        print(f"chaos: {error}", file=sys.stderr)
        return 1
    report = Report(seed, quick, cases)
    path = settings.state_dir / "chaos.json"
    report.write(path)
    _say(f"\n{report.table()}\n\nwritten to {path}")
    return 0 if report.passed else 1


def _say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    sys.exit(main())
