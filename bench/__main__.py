"""`python -m bench [NAME] [--quick] [--only CASE]`: runs a benchmark, prints it, writes `.local/bench/NAME.json`.

Exits 1 when it could not be run. Peers that could not be installed are named in the result's `missing`.
"""

import argparse
import importlib
import os
import sys
from collections.abc import Callable

from bench.report import Report
from bench.runs import Runs
from deploy.local.errors import LocalStackError
from deploy.local.settings import Settings

#: A module of this package each, with a function `run(runs) -> Report`.
NAMES = ("ingest",)


def main() -> int:
    """Run what the command line names."""
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"{', '.join(NAMES)}; all when absent")
    parser.add_argument("--quick", action="store_true", help="2 s windows, 3 of them: for a busy machine")
    parser.add_argument(
        "--only", action="append", default=[], metavar="CASE", help="cases to run; all when absent"
    )
    arguments = parser.parse_args()
    unknown = set(arguments.names) - set(NAMES)
    if unknown:
        parser.error(f"no benchmark is named {', '.join(sorted(unknown))}; there are {', '.join(NAMES)}")
    runs = Runs(
        folder=Settings.from_environ(os.environ).state_dir / "bench",
        window_s=2.0 if arguments.quick else 5.0,
        count=3 if arguments.quick else 5,
        only=frozenset(arguments.only),
    )
    runs.folder.mkdir(parents=True, exist_ok=True)
    for name in arguments.names or NAMES:
        run: Callable[[Runs], Report] = importlib.import_module(f"bench.{name}").run
        try:
            report = run(runs)
        except LocalStackError as error:
            print(f"bench {name}: {error}", file=sys.stderr)
            return 1
        print(report.table())
        print(f"\nwritten to {report.write(runs.folder)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
