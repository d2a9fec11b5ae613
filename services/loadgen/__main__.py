"""`python -m services.loadgen`: traffic and a verdict."""

import argparse
import asyncio
import logging
import signal
import sys
from collections.abc import Callable, Sequence
from contextlib import suppress
from enum import IntEnum

from rich.console import Console

from services.loadgen import arguments, menu, report
from services.loadgen.client import TargetUnreachable
from services.loadgen.journey import Services
from services.loadgen.publish import publish
from services.loadgen.report import Report
from services.loadgen.run import run
from services.loadgen.scenarios import SCENARIOS
from services.loadgen.settings import LoadgenSettings
from services.loadgen.targets import base_url
from services.loadgen.traffic import Load
from shared import settings
from shared.errors import ConfigurationError, PublishError

_new_event_loop: Callable[[], asyncio.AbstractEventLoop] = asyncio.new_event_loop
with suppress(ImportError):  # three times as fast, and not a must
    from uvloop import new_event_loop as _new_event_loop

_PIPE_WIDTH = 110  # of the table where there is no terminal to ask


class Exit(IntEnum):
    """What the process says when it ends; CronJobs and CI rely on it."""

    MET = 0
    THRESHOLD_MISSED = 1
    BAD_USAGE = 2
    UNREACHABLE = 3
    SATURATED = 4


def main(typed: Sequence[str]) -> Exit:
    """Do what the arguments say. Raises SystemExit(2) for bad ones, as argparse does."""
    logging.getLogger().addHandler(logging.NullHandler())  # libraries stay silent; errors are told in a line
    parser = arguments.parser()
    if not typed and sys.stdin.isatty() and sys.stdout.isatty():
        chosen = menu.choose(_target_by_default())
        if chosen is None:
            return Exit.MET
        typed = chosen
    options = parser.parse_args(typed)
    if options.command is None:
        parser.print_usage(sys.stderr)
        return Exit.BAD_USAGE
    if options.command == "list":
        return _list()
    try:
        return _run(options)
    except ConfigurationError as error:
        return _refuse(error, Exit.BAD_USAGE)
    except TargetUnreachable as error:
        return _refuse(error, Exit.UNREACHABLE)


def _run(options: argparse.Namespace) -> Exit:
    config = settings.load(LoadgenSettings)
    services = _services(options, config)
    _prepare(options)
    load = _load(options, config)
    with asyncio.Runner(loop_factory=_new_event_loop) as runner:
        outcome = runner.run(run(options.scenario, load, services, options.fail_on, out=sys.stderr))
        _tell(outcome, options)
        if config.kafka_bootstrap_servers and not options.no_publish:
            _publish(runner, config, outcome)
    return _exit_of(outcome)


def _exit_of(outcome: Report) -> Exit:
    if outcome.result.requests and not outcome.answered:
        return _refuse(f"{outcome.result.target} answered nothing", Exit.UNREACHABLE)
    if outcome.bottleneck:
        return Exit.SATURATED
    return Exit.THRESHOLD_MISSED if outcome.result.thresholds_missed else Exit.MET


def _services(options: argparse.Namespace, config: LoadgenSettings) -> Services:
    target = options.target or config.ingest_url
    if not target:
        raise ConfigurationError("say what to load: --target URL, or INGEST_URL")
    allowed = config.targets_allowed
    return Services(
        ingest=base_url(target, allowed),
        public_key=config.public_key.get_secret_value(),
        cache=base_url(config.cache_url, allowed) if config.cache_url else "",
        jobs=base_url(config.jobs_url, allowed) if config.jobs_url else "",
        secret_key=config.secret_key.get_secret_value() if config.secret_key else "",
    )


def _load(options: argparse.Namespace, config: LoadgenSettings) -> Load:
    scenario = SCENARIOS[options.scenario]
    duration_s = options.duration or scenario.duration_s
    return Load(
        users=options.users or scenario.users,
        duration_s=duration_s,
        ramp_s=min(scenario.ramp_s, duration_s / 4),
        rate_rps=options.rate,
        seed=options.seed,
        timeout_s=config.loadgen_request_timeout_s,
    )


def _prepare(options: argparse.Namespace) -> None:
    """See before the run that its outcome can be written, not after it."""
    try:
        if options.report is not None:
            options.report.mkdir(parents=True, exist_ok=True)
        if options.json is not None:
            options.json.open("ab").close()
    except OSError as error:
        raise ConfigurationError(f"cannot write {error.filename}: {error.strerror}") from error


def _tell(outcome: Report, options: argparse.Namespace) -> None:
    console = Console(highlight=False, width=None if sys.stdout.isatty() else _PIPE_WIDTH)
    report.show(outcome, console)
    if options.json is not None:
        options.json.write_bytes(report.to_json(outcome))
    if options.report is not None:
        report.write(outcome, options.report)
        console.print(f"report: {options.report / 'report.md'}", soft_wrap=True)


def _publish(runner: asyncio.Runner, config: LoadgenSettings, outcome: Report) -> None:
    """Tell Kafka about the run; a failure to is a warning, since the run itself is over and well."""
    if outcome.bottleneck or not outcome.answered:
        print("not published: these numbers are not the target's", file=sys.stderr)
        return
    try:
        runner.run(publish(config, outcome.result))
    except PublishError as error:
        print(f"warning: not published: {error}", file=sys.stderr)


def _list() -> Exit:
    for scenario in SCENARIOS.values():
        print(
            f"{scenario.name:8}{scenario.users:5} users {scenario.duration_s:4.0f} s   {scenario.description}"
        )
    return Exit.MET


def _refuse(why: object, status: Exit) -> Exit:
    print(f"loadgen: {why}", file=sys.stderr)
    return status


def _target_by_default() -> str:
    try:
        return settings.load(LoadgenSettings).ingest_url
    except ConfigurationError:
        return ""  # said once there is a run to refuse


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:  # before or after a run; during it there is a report
        sys.exit(128 + signal.SIGINT)
