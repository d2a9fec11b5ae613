"""Where cached values come from: the table of sources, and PostgreSQL, which is only read here.

A source gives the keys of one pattern. What stands in braces becomes a bound parameter: `{id}` takes digits, any
other name takes text. A key never becomes part of a statement.
"""

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import NamedTuple

import asyncpg

from services.cache.classes import Key
from shared import logs
from shared.errors import StoreUnavailable

_log = logs.get(__name__)

#: Rows of a list, at most: a list is for a page, and an entry must fit into memory.
ROWS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Source:
    """One statement that gives the values of one pattern of keys."""

    #: `class:part:{parameter}`; a pattern further up in the table wins.
    pattern: str
    #: The statement; $1, $2, ... are the pattern's parameters from left to right.
    sql: str
    #: Tags of the entry: what else than its own key invalidates it.
    tags: tuple[str, ...] = ()
    #: True: a JSON array of all rows. False: the one row as an object, and no entry where there is none.
    many: bool = False


_TECHNICIAN = "SELECT id, name, email, skills, available, updated_at FROM app.technicians"
_PROPERTY = "SELECT id, name, address, city, units, updated_at FROM app.properties"
_REQUEST = """
    SELECT r.id, r.property_id, r.technician_id, r.category_id, c.name AS category, r.title, r.status, r.urgency,
           r.opened_at, r.updated_at
    FROM app.maintenance_requests r JOIN app.categories c ON c.id = r.category_id"""
_CATEGORY = "SELECT id, name, description, updated_at FROM app.categories"

#: Every source. A list is tagged with each entity that it shows rows of: a change of any of them drops it.
SOURCES = (
    Source("technicians:all", f"{_TECHNICIAN} ORDER BY id", tags=("technicians",), many=True),
    Source(
        "technicians:available",
        f"{_TECHNICIAN} WHERE available ORDER BY name, id",
        tags=("technicians",),
        many=True,
    ),
    Source(
        "technicians:skill:{skill}",
        f"{_TECHNICIAN} WHERE available AND $1 = ANY (skills) ORDER BY name, id",
        tags=("technicians",),
        many=True,
    ),
    Source("technicians:{id}", f"{_TECHNICIAN} WHERE id = $1"),
    Source("properties:all", f"{_PROPERTY} ORDER BY id", tags=("properties",), many=True),
    Source(
        "properties:{id}:requests",
        f"{_REQUEST} WHERE r.property_id = $1 ORDER BY r.opened_at DESC, r.id",
        tags=("maintenance_requests", "categories"),
        many=True,
    ),
    Source("properties:{id}", f"{_PROPERTY} WHERE id = $1"),
    Source(
        "maintenance_requests:open",
        f"{_REQUEST} WHERE r.status <> 'done' ORDER BY r.urgency DESC, r.opened_at, r.id",
        tags=("maintenance_requests", "categories"),
        many=True,
    ),
    Source("maintenance_requests:{id}", f"{_REQUEST} WHERE r.id = $1", tags=("categories",)),
    Source("categories:all", f"{_CATEGORY} ORDER BY name, id", tags=("categories",), many=True),
    Source("categories:{id}", f"{_CATEGORY} WHERE id = $1"),
)


class Query(NamedTuple):
    """A source, for one key."""

    source: Source
    parameters: tuple[int | str, ...]


def query_of(key: Key, sources: Iterable[Source] = SOURCES) -> Query | None:
    """How to read a key's value; None where no source gives it."""
    parts = key.text.split(":")
    for source in sources:
        values = _match(source.pattern.split(":"), parts)
        if values is not None:
            return Query(source, tuple(values))
    return None


def _match(pattern: list[str], parts: list[str]) -> list[int | str] | None:
    """The parameters from left to right, or None where the key does not follow the pattern."""
    if len(pattern) != len(parts):
        return None
    values: list[int | str] = []
    for wanted, part in zip(pattern, parts, strict=True):
        if not wanted.startswith("{"):
            if wanted != part:
                return None
        elif wanted == "{id}":
            # 18 digits fit into a bigint; one spelling a number, or a change would miss the other's entry
            if not (part.isascii() and part.isdigit() and len(part) <= 18) or part != str(int(part)):
                return None
            values.append(int(part))
        else:
            values.append(part)
    return values


@asynccontextmanager
async def open_database(dsn: str, *, connections_max: int, timeout_s: float) -> AsyncIterator["Database"]:
    """A pool of read-only connections, made when they are needed: PostgreSQL need not be there yet."""
    pool = asyncpg.create_pool(
        dsn,
        min_size=0,
        max_size=connections_max,
        timeout=timeout_s,
        command_timeout=timeout_s,
        server_settings={
            "application_name": "signalbox-cache",
            "default_transaction_read_only": "on",
            "statement_timeout": str(int(timeout_s * 1000)),  # a query nobody waits for any more must end
            "timezone": "UTC",
        },
    )
    await pool
    try:
        yield Database(pool, timeout_s=timeout_s)
    finally:
        pool.terminate()  # whoever stops the service has waited for the fills already


class Database:
    """PostgreSQL, read only."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]", *, timeout_s: float) -> None:
        self._pool = pool
        self._timeout_s = timeout_s
        self._answers = True

    async def fetch(self, query: Query) -> bytes | None:
        """The value as JSON; None where there is no such row.

        Raises StoreUnavailable when PostgreSQL is away, too slow, or lacks the tables.
        """
        text = await self._ask(_as_json(query.source), *query.parameters)
        return None if text is None else text.encode()

    async def ping(self) -> None:
        """Raises StoreUnavailable."""
        await self._ask("SELECT '1'")

    async def _ask(self, sql: str, *parameters: int | str) -> str | None:
        try:
            value = await self._try(sql, *parameters)
        except StoreUnavailable as error:
            if self._answers:
                _log.warning("postgresql_lost", error=str(error))
            self._answers = False
            raise
        if not self._answers:
            _log.info("postgresql_back")
        self._answers = True
        return value

    async def _try(self, sql: str, *parameters: int | str) -> str | None:
        try:
            async with asyncio.timeout(self._timeout_s), self._pool.acquire() as connection:
                value: str | None = await connection.fetchval(sql, *parameters)
                return value
        except asyncpg.UndefinedTableError as error:
            raise StoreUnavailable(
                f"PostgreSQL: {error}; `python -m services.cache seed` makes the tables"
            ) from error
        except TimeoutError as error:
            raise StoreUnavailable(f"PostgreSQL: no answer within {self._timeout_s:g} s") from error
        except _UNAVAILABLE as error:
            raise StoreUnavailable(f"PostgreSQL: {type(error).__name__}: {error}") from error


#: The server is away, starting, stopping or overloaded. asyncpg reports a connection that is being lost as a misuse
#: of its interface.
_UNAVAILABLE = (
    OSError,
    asyncpg.PostgresConnectionError,
    asyncpg.InsufficientResourcesError,
    asyncpg.OperatorInterventionError,
    asyncpg.InvalidAuthorizationSpecificationError,
    asyncpg.InvalidCatalogNameError,
    asyncpg.InsufficientPrivilegeError,
    asyncpg.InternalClientError,
    asyncpg.InterfaceError,
)


def _as_json(source: Source) -> str:
    """PostgreSQL makes the JSON, so that no row becomes Python objects here."""
    if source.many:
        rows = f"SELECT row_to_json(item)::text AS text FROM ({source.sql} LIMIT {ROWS_MAX}) AS item"  # noqa: S608
        return f"SELECT '[' || coalesce(string_agg(text, ','), '') || ']' FROM ({rows}) AS items"  # noqa: S608
    return f"SELECT row_to_json(item)::text FROM ({source.sql}) AS item"  # noqa: S608
