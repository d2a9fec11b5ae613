"""`python -m services.jobs COMMAND`: look at jobs and act on them from a shell, straight on the database."""

import argparse
from collections.abc import Awaitable, Callable, Sequence
from uuid import UUID

import msgspec

from services.jobs.store import jobs
from services.jobs.store.database import Connection, Database
from services.jobs.store.jobs import Job
from shared.contracts.jobs import JobStatus, JobType
from shared.errors import NotFound
from shared.settings import PostgresSettings

Command = Callable[[Connection, argparse.Namespace], Awaitable[str]]


def parser() -> argparse.ArgumentParser:
    """The arguments of every command."""
    top = argparse.ArgumentParser(
        prog="python -m services.jobs",
        description="Without a command: run a worker with its API and console.",
    )
    commands = top.add_subparsers(dest="command", metavar="COMMAND")
    commands.add_parser("migrate", help="prepare the database, and end")
    listing = commands.add_parser("list", help="jobs, newest first")
    listing.add_argument("--status", choices=[status.value for status in JobStatus])
    listing.add_argument("--type", choices=[type.value for type in JobType])
    listing.add_argument("--limit", type=int, default=20)
    commands.add_parser("show", help="one job, as JSON").add_argument("id", type=UUID)
    commands.add_parser("stats", help="jobs by state and type, as JSON")
    commands.add_parser("retry", help="run failed or cancelled jobs again").add_argument(
        "ids", type=UUID, nargs="+"
    )
    commands.add_parser("cancel", help="call off a job that has not ended").add_argument("id", type=UUID)
    replay = commands.add_parser("replay", help="run the newest failed jobs again")
    replay.add_argument("--type", choices=[type.value for type in JobType])
    replay.add_argument("--limit", type=int, default=100)
    return top


async def run(options: argparse.Namespace, settings: PostgresSettings) -> str:
    """Do what the options say, and return what to print.

    Raises StoreUnavailable, and NotFound for a job that is not there or whose state does not allow it.
    """
    database = Database(
        settings.postgres_dsn.get_secret_value(), connections_max=1, timeout_s=settings.postgres_timeout_s
    )
    await database.open()
    try:
        async with database.transaction() as connection:
            return await _COMMANDS[options.command](connection, options)
    finally:
        await database.close()


async def _list(connection: Connection, options: argparse.Namespace) -> str:
    found = await jobs.newest(connection, status=options.status, type=options.type, limit=options.limit)
    return "\n".join(map(_line, found)) or "no such jobs"


async def _show(connection: Connection, options: argparse.Namespace) -> str:
    found = await jobs.get(connection, str(options.id))
    if found is None:
        raise NotFound(f"there is no job {options.id}")
    return _json(found)


async def _stats(connection: Connection, options: argparse.Namespace) -> str:
    return _json(await jobs.stats(connection))


async def _retry(connection: Connection, options: argparse.Namespace) -> str:
    return await _again(connection, [str(id) for id in options.ids])


async def _replay(connection: Connection, options: argparse.Namespace) -> str:
    failed = await jobs.newest(connection, status=JobStatus.FAILED, type=options.type, limit=options.limit)
    return await _again(connection, [job.id for job in failed])


async def _again(connection: Connection, ids: Sequence[str]) -> str:
    """Rows only: there is no Kafka here, and the sweeper of a running worker finds them."""
    again = {hint.id for hint in await jobs.run_again(connection, ids, hinted=False)}
    left = [id for id in ids if id not in again]
    lines = [f"{id} runs again" for id in again] + [
        f"{id} is not failed or cancelled: left alone" for id in left
    ]
    return "\n".join(lines) or "no failed jobs"


async def _cancel(connection: Connection, options: argparse.Namespace) -> str:
    if not await jobs.cancel(connection, str(options.id)):
        raise NotFound(f"there is no job {options.id} that has not ended")
    return f"{options.id} is cancelled"


def _line(job: Job) -> str:
    return (
        f"{job.id}  {job.status.value:<9}  {job.type:<17}  priority {job.priority}  "
        f"attempt {job.attempts} of {job.max_attempts}  {job.created_at:%Y-%m-%d %H:%M:%S}  {job.error or ''}"
    ).rstrip()


def _json(value: object) -> str:
    return msgspec.json.format(msgspec.json.encode(value)).decode()


_COMMANDS: dict[str, Command] = {
    "list": _list,
    "show": _show,
    "stats": _stats,
    "retry": _retry,
    "replay": _replay,
    "cancel": _cancel,
}
