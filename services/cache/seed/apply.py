"""Put the example application's schema and rows into PostgreSQL."""

from pathlib import Path

import asyncpg

from shared.errors import ConfigurationError, StoreUnavailable

_FOLDER = Path(__file__).parent
_LOCK = 0x5B0CA  # any number of ours: seeds that run at once wait for one another on it
_TIMEOUT_S = 60.0
_TABLES = ("categories", "technicians", "properties", "maintenance_requests")


async def apply(dsn: str, *, connect_timeout_s: float) -> dict[str, int]:
    """Create what is missing, in one transaction, and return the number of rows by table.

    Running it again changes nothing. Raises StoreUnavailable when PostgreSQL cannot be reached, ConfigurationError
    when it refuses the statements.
    """
    try:
        connection = await asyncpg.connect(dsn, timeout=connect_timeout_s, command_timeout=_TIMEOUT_S)
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        raise StoreUnavailable(f"PostgreSQL cannot be reached: {type(error).__name__}: {error}") from error
    try:
        async with connection.transaction():
            await connection.execute("SELECT pg_advisory_xact_lock($1)", _LOCK)
            for name in ("schema.sql", "data.sql"):
                await connection.execute((_FOLDER / name).read_text())
        counts = {table: await connection.fetchval(f"SELECT count(*) FROM app.{table}") for table in _TABLES}  # noqa: S608
    except asyncpg.PostgresError as error:
        raise ConfigurationError(f"PostgreSQL refused the example data: {error}") from error
    finally:
        await connection.close()
    return counts
