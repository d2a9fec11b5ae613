"""`python -m deploy.local up|down|status|logs`: the stack without Docker, from a shell.

Exit status: 0 done, 1 not possible (one line says why), 2 bad usage, 130 interrupted.
"""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path

try:
    from deploy.local import logs, status
    from deploy.local.errors import LocalStackError, StateError
    from deploy.local.settings import Settings
    from deploy.local.stack import Stack
    from deploy.local.state import State
except ModuleNotFoundError as error:
    sys.exit(f"signalbox: the Python package {error.name} is missing here: run `make setup`, then use .venv")


def main(arguments: Sequence[str]) -> int:
    """Do what the arguments say; returns the exit status."""
    options = _parser().parse_args(arguments)
    try:
        settings = Settings.from_environ(os.environ)
        return int(options.run(settings, options))
    except LocalStackError as error:
        print(f"signalbox: {error}", file=sys.stderr)
        return 1
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except OSError as error:  # what the state folder can do to us is without end: a full disk, a lost mount
        path = Path(os.fsdecode(error.filename)) if error.filename else settings.state_dir
        state = State(settings.state_dir)
        print(f"signalbox: {StateError(path, error.strerror or str(error), state.logs)}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("signalbox: interrupted; `make down` stops what was started", file=sys.stderr)
        return 130


def _up(settings: Settings, options: argparse.Namespace) -> int:
    began = time.monotonic()
    services = not (options.without_services or options.bare)
    variables = Stack(settings, _say).up(services=services, schema=not options.bare)
    _say(
        f"ready after {time.monotonic() - began:.1f} s; addresses and keys are in {settings.state_dir / 'env'}"
    )
    if services:
        _say(f"console     {variables['JOBS_URL']}/")
    return 0


def _down(settings: Settings, options: argparse.Namespace) -> int:
    if not Stack(settings, _say).down():
        _say("nothing runs")
    return 0


def _status(settings: Settings, options: argparse.Namespace) -> int:
    rows = status.rows(settings)
    _say(status.table(rows))
    return 1 if any(row.state in ("died", "not ready") for row in rows) else 0


def _logs(settings: Settings, options: argparse.Namespace) -> int:
    chosen = logs.of(State(settings.state_dir), options.name)
    for line in logs.ends(chosen, options.lines):
        _say(line)
    if options.follow:
        for line in logs.follow(chosen):
            _say(line)
    return 0


def _say(line: str) -> None:
    print(line, flush=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__.split("\n")[0])
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    up = commands.add_parser("up", help="start what does not run, and return when all is ready")
    up.add_argument(
        "--without-services", action="store_true", help="Kafka, PostgreSQL, Redis and their contents only"
    )
    up.add_argument("--bare", action="store_true", help="Kafka, PostgreSQL and Redis only, as they are")
    up.set_defaults(run=_up)
    commands.add_parser("down", help="stop all of it").set_defaults(run=_down)
    commands.add_parser("status", help="what runs; exit status 1 when a part died").set_defaults(run=_status)
    log = commands.add_parser("logs", help="the last lines of the logs")
    log.add_argument("name", nargs="?", help="of this one only: kafka, postgres, ingest, ...")
    log.add_argument("-f", "--follow", action="store_true", help="go on with what is added, until Ctrl-C")
    log.add_argument("-n", "--lines", type=int, default=40, help="how many lines of each (40)")
    log.set_defaults(run=_logs)
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
