"""The way to PostgreSQL: a pool, transactions, and its errors turned into what a caller should do next."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import asyncpg
import msgspec

from shared.errors import PoisonRecord, StoreUnavailable

if TYPE_CHECKING:
    Connection = asyncpg.pool.PoolConnectionProxy[asyncpg.Record]
else:
    Connection = asyncpg.pool.PoolConnectionProxy

#: The server is away, starting, stopping or overloaded, or chose this transaction to break a tie.
_UNAVAILABLE = (
    OSError,
    TimeoutError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.TransactionRollbackError,
    asyncpg.ObjectNotInPrerequisiteStateError,
    asyncpg.InternalClientError,
)
#: These values can never be stored: bytes that text cannot hold, numbers out of range.
_BAD_DATA = (asyncpg.DataError, asyncpg.IntegrityConstraintViolationError, asyncpg.ProgramLimitExceededError)


class Database:
    """A pool of connections to PostgreSQL."""

    def __init__(self, dsn: str, *, connections_max: int, timeout_s: float) -> None:
        self._dsn = dsn
        self._connections_max = connections_max
        self._timeout_s = timeout_s
        self._pool: asyncpg.Pool[asyncpg.Record] | None = None

    async def open(self) -> None:
        """Connect. Raises StoreUnavailable."""
        with_errors = _translated()
        async with with_errors:
            self._pool = await asyncpg.create_pool(
                self._dsn,
                min_size=1,
                max_size=self._connections_max,
                timeout=self._timeout_s,
                command_timeout=self._timeout_s,
                init=_prepare,
                server_settings={
                    "application_name": "signalbox-jobs",
                    "timezone": "UTC",
                    # The server gives up too, so that a statement of a dead client does not hold its locks.
                    "statement_timeout": str(int(self._timeout_s * 1000)),
                },
            )

    async def close(self) -> None:
        """Give the connections back; those in use get a moment to finish."""
        if self._pool is None:
            return
        try:
            async with asyncio.timeout(self._timeout_s):
                await self._pool.close()
        except TimeoutError:
            self._pool.terminate()

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A transaction: committed when the block ends, rolled back when it raises.

        Raises StoreUnavailable when the same block may succeed later, PoisonRecord (`data`) when PostgreSQL
        cannot hold the values; everything else is a defect and comes through as it is.
        """
        assert self._pool is not None, "open() comes first"
        async with (
            _translated(),
            self._pool.acquire(timeout=self._timeout_s) as connection,
            connection.transaction(),
        ):
            yield connection

    async def ping(self) -> None:
        """A readiness check."""
        async with self.transaction() as connection:
            await connection.fetchval("SELECT 1")


@asynccontextmanager
async def _translated() -> AsyncIterator[None]:
    try:
        yield
    except _BAD_DATA as error:
        raise PoisonRecord("data", f"{type(error).__name__}: {error}") from error
    except _UNAVAILABLE as error:
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error
    except asyncpg.InterfaceError as error:
        # asyncpg reports a lost connection, and one that is closing, as a misuse of its interface.
        raise StoreUnavailable(f"{type(error).__name__}: {error}") from error


async def _prepare(connection: asyncpg.Connection) -> None:
    """jsonb columns are Python values on our side."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_encode_json, decoder=msgspec.json.decode, format="text"
    )


def _encode_json(value: object) -> str:
    return msgspec.json.encode(value).decode()
