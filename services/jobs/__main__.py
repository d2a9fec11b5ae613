"""`python -m services.jobs` runs a worker with its API; `migrate` prepares the database; `--help` has the rest."""

import asyncio
import sys

import uvloop

from services.jobs import commands
from services.jobs.app import serve
from services.jobs.migrate import migrate
from services.jobs.settings import JobsSettings
from shared import kafka, logs, settings
from shared.contracts.topics import used_by
from shared.errors import Retryable, SignalboxError

_log = logs.get(__name__)

_START_ATTEMPTS, _START_PAUSE_S = 30, 1.0  # half a minute: other containers may still be starting


def main(arguments: list[str]) -> int:
    """Exit status: 0 after a clean stop, 1 when it could not start or failed, 2 on bad usage."""
    options = commands.parser().parse_args(arguments)
    try:
        match options.command:
            case None:
                uvloop.run(_serve(settings.load(JobsSettings)))
            case "migrate":
                uvloop.run(_migrate(settings.load(settings.PostgresSettings)))
            case _:
                print(uvloop.run(commands.run(options, settings.load(settings.PostgresSettings))))  # noqa: T201
    except SignalboxError as error:
        print(f"jobs: {error}", file=sys.stderr)  # noqa: T201 - one line, also where logs are not configured yet
        return 1
    return 0


async def _migrate(config: settings.PostgresSettings) -> None:
    logs.configure("jobs", level=config.log_level, format=config.log_format)
    await migrate(config.postgres_dsn.get_secret_value())


async def _serve(config: JobsSettings) -> None:
    logs.configure("jobs", level=config.log_level, format=config.log_format)
    for attempt in range(1, _START_ATTEMPTS + 1):
        try:
            await kafka.require_topics(config, used_by("jobs"))
            break
        except Retryable as error:
            if attempt == _START_ATTEMPTS:
                raise
            _log.warning("start_waits", error=str(error))
        await asyncio.sleep(_START_PAUSE_S)
    await serve(config)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
