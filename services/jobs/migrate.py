"""Migrations: numbered SQL files, forward only, each in a transaction, one process at a time."""

import hashlib
from pathlib import Path

import asyncpg

from shared import logs
from shared.errors import ConfigurationError

_log = logs.get(__name__)

_FOLDER = Path(__file__).parent / "migrations"
_LOCK = 0x5B0C5  # any number of ours; processes that migrate at once wait for one another on it


async def migrate(dsn: str) -> list[str]:
    """Apply what has not been applied, in order of number, and return its names.

    Raises ConfigurationError when an applied file was changed afterwards, or the database is newer than the code.
    """
    connection = await asyncpg.connect(dsn, timeout=10, command_timeout=300)
    try:
        await connection.execute("SELECT pg_advisory_lock($1)", _LOCK)
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations "
            "(name text PRIMARY KEY, sha256 text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        applied = {
            row["name"]: row["sha256"] for row in await connection.fetch("SELECT * FROM schema_migrations")
        }
        files = {path.name: path.read_text() for path in sorted(_FOLDER.glob("[0-9]*.sql"))}
        _check(applied, files)
        new = [name for name in files if name not in applied]
        for name in new:
            async with connection.transaction():
                await connection.execute(files[name])
                await connection.execute(
                    "INSERT INTO schema_migrations (name, sha256) VALUES ($1, $2)", name, _digest(files[name])
                )
            _log.info("migration_applied", migration=name)
        return new
    finally:
        await connection.close()


def _check(applied: dict[str, str], files: dict[str, str]) -> None:
    unknown = sorted(set(applied) - set(files))
    if unknown:
        raise ConfigurationError(
            f"the database has migrations that this version does not know: {', '.join(unknown)}"
        )
    changed = [name for name, digest in applied.items() if _digest(files[name]) != digest]
    if changed:
        raise ConfigurationError(f"migrations were changed after they had been applied: {', '.join(changed)}")


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
