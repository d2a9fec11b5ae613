"""What routes work with, how they get it, and the parameters that several of them take."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, NamedTuple, TypeVar

import msgspec
from fastapi import Depends, Query, Request

from services.jobs.publisher import Publisher
from services.jobs.runner import Runner
from services.jobs.settings import JobsSettings
from services.jobs.store.database import Connection, Database
from shared import http
from shared.errors import Invalid, Malformed, PoisonRecord, StoreUnavailable, Unavailable

R = TypeVar("R")
T = TypeVar("T")

BODY_BYTES_MAX = 1_048_576


@dataclass(frozen=True, slots=True)
class Services:
    """The parts of a worker that its routes use."""

    settings: JobsSettings
    database: Database
    publisher: Publisher
    runner: Runner

    async def ask(self, question: Callable[[Connection], Awaitable[R]]) -> R:
        """Run `question` in a transaction. Raises Unavailable (503) while PostgreSQL is away, Invalid (422)."""
        try:
            async with self.database.transaction() as connection:
                return await question(connection)
        except StoreUnavailable as error:
            raise Unavailable(
                "The database cannot be reached; nothing was changed.", retry_after_s=2
            ) from error
        except PoisonRecord as error:
            raise Invalid(error.detail) from error


def services(request: Request) -> Services:
    found: Services = request.app.state.services
    return found


def operator(request: Request) -> Services:
    """The same, for whoever shows the secret key. Raises Unauthorized and Forbidden."""
    found = services(request)
    http.require(request, found.settings, http.Access.EVERYTHING)
    return found


ServicesDep = Annotated[Services, Depends(services)]
OperatorDep = Annotated[Services, Depends(operator)]
Limit = Annotated[int, Query(ge=1, le=1000)]


class Span(NamedTuple):
    """A span of time, its end excluded."""

    start: datetime
    end: datetime


def span(
    from_: Annotated[
        datetime | None, Query(alias="from", description="ISO 8601 with time zone; a day ago.")
    ] = None,
    to: Annotated[datetime | None, Query(description="ISO 8601 with time zone; now.")] = None,
) -> Span:
    """`?from=&to=`. Raises Invalid when it is no span."""
    # The minute that is running is part of "now".
    end = to or datetime.now(UTC) + timedelta(minutes=3)
    start = from_ or end - timedelta(days=1)
    if start.tzinfo is None or end.tzinfo is None:
        raise Invalid("`from` and `to` need a time zone, such as 2026-01-31T12:00:00Z.")
    if start >= end:
        raise Invalid("`from` must be before `to`.")
    return Span(start, end)


SpanDep = Annotated[Span, Depends(span)]


async def body(request: Request, type: type[T]) -> T:
    """The JSON body as `type`. Raises Malformed (400), TooLarge (413) and Invalid (422)."""
    raw = await http.body_of(request, bytes_max=BODY_BYTES_MAX)
    try:
        return msgspec.json.decode(raw, type=type)
    except msgspec.ValidationError as error:
        raise Invalid(str(error)) from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not JSON: {error}") from error


def listing(name: str, items: object) -> dict[str, Any]:
    """A list in an object, so that paging and totals can be added without breaking anybody."""
    return {name: items}
