"""`python -m services.cache` serves; `python -m services.cache seed` puts example tables into PostgreSQL."""

import asyncio
import signal
import sys
from collections.abc import Coroutine, Sequence
from contextlib import suppress
from typing import Any

import uvloop

from services.cache.app import serve
from services.cache.seed.apply import apply
from services.cache.settings import CacheSettings
from shared import logs
from shared.errors import SignalboxError
from shared.settings import PostgresSettings, load

_USAGE = "usage: python -m services.cache [seed]"


def main(arguments: Sequence[str]) -> int:
    """Run; the result is the exit status: 0 after a stop that was asked for, 1 for an error, 2 for bad usage."""
    try:
        match list(arguments):
            case []:
                settings = load(CacheSettings)
                logs.configure("cache", level=settings.log_level, format=settings.log_format)
                return _run(serve(settings))
            case ["seed"]:
                return _run(_seed(load(PostgresSettings)))
            case _:
                print(_USAGE, file=sys.stderr)  # noqa: T201 - a command's usage
                return 2
    except SignalboxError as error:
        print(f"cache: {error}", file=sys.stderr)  # noqa: T201
        return 1


async def _seed(settings: PostgresSettings) -> None:
    counts = await apply(
        settings.postgres_dsn.get_secret_value(), connect_timeout_s=settings.postgres_timeout_s
    )
    print("app: " + ", ".join(f"{rows} {table}" for table, rows in counts.items()))  # noqa: T201


def _run(work: Coroutine[Any, Any, None]) -> int:
    """Run until it ends, or until SIGTERM or SIGINT cancels it, which is a good end."""
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner, suppress(asyncio.CancelledError):
        runner.run(_until_signalled(work))
    return 0


async def _until_signalled(work: Coroutine[Any, Any, None]) -> None:
    task = asyncio.current_task()
    assert task is not None, "a coroutine runs in a task"
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    await work


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
