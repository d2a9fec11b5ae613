"""One request up to its body: whose key it shows, whether there is room for it, and its bytes, decompressed."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from http import HTTPStatus
from typing import NamedTuple

from fastapi import Request
from starlette.requests import ClientDisconnect

from services.ingest import accounts
from services.ingest.decode import decode
from services.ingest.keys import Grant, Keyring
from services.ingest.limits import InFlight
from services.ingest.messages import Arrival
from services.ingest.rates import Category
from services.ingest.settings import IngestSettings
from shared import http
from shared.clock import Clock
from shared.contracts.events import Source
from shared.errors import Malformed, RequestError

#: W3C Trace Context, version 00: trace id, parent id, flags. All zeros are not valid.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class SlowBody(RequestError):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Dialect(NamedTuple):
    """How requests of a foreign protocol differ from ours, up to their bodies."""

    source: Source
    #: The key that a request shows in its head; empty when it shows none.
    key: Callable[[Request], str]
    #: The same for its body, for protocols whose clients may show it there only.
    key_in_body: Callable[[bytes], str] | None
    #: The largest body, both as sent and decompressed.
    body_bytes_max: int


class Receiver:
    """Receives requests of producers."""

    def __init__(self, settings: IngestSettings, clock: Clock, keyring: Keyring) -> None:
        self._settings = settings
        self._clock = clock
        self.keyring = keyring
        self.in_flight = InFlight(settings.in_flight_bytes_max)

    @asynccontextmanager
    async def receive(self, request: Request, access: http.Access) -> AsyncIterator[tuple[bytes, Arrival]]:
        """The body, and what else is known; the body counts as in flight until the block ends.

        Raises Unauthorized, Forbidden, RateLimited, Unavailable, TooLarge, SlowBody, Malformed and UnsupportedMedia.
        """
        with _accounted():
            grant = self.keyring.check(request.headers.raw, request.scope["query_string"], access)
            grant.rates.require(Category.REQUEST)
            self.in_flight.check()
            body = await self._body(request, bytes_max=self._settings.body_bytes_max)
            with self.in_flight.hold(len(body)):
                yield body, self._arrival(request, grant, grant.source)

    @asynccontextmanager
    async def receive_foreign(
        self, request: Request, dialect: Dialect
    ) -> AsyncIterator[tuple[bytes, Arrival]]:
        """The same for a foreign protocol, whose requests only ever write events."""
        with _accounted():
            key = dialect.key(request)
            grant = None
            if key or dialect.key_in_body is None:
                grant = self._grant(request, key)
            self.in_flight.check()
            body = await self._body(request, bytes_max=dialect.body_bytes_max)
            if grant is None and dialect.key_in_body is not None:
                grant = self._grant(request, dialect.key_in_body(body))
            assert grant is not None, "one of the two has raised"
            with self.in_flight.hold(len(body)):
                yield body, self._arrival(request, grant, dialect.source)

    def _grant(self, request: Request, key: str) -> Grant:
        grant = self.keyring.grant(key)
        grant.require_origin(request.headers.get("origin", ""))
        grant.rates.require(Category.REQUEST)
        return grant

    def _arrival(self, request: Request, grant: Grant, source: Source) -> Arrival:
        project = grant.project
        return Arrival(
            self._clock.now(), project.name, source, _traceparent(request), project.scrubber, grant.rates
        )

    async def _body(self, request: Request, *, bytes_max: int) -> bytes:
        timeout_s = self._settings.body_timeout_s
        try:
            async with asyncio.timeout(timeout_s):
                body = await http.body_of(request, bytes_max=bytes_max)
        except TimeoutError as error:
            raise SlowBody(f"The body did not arrive within {timeout_s:g} s.") from error
        except ClientDisconnect as error:
            raise Malformed("The client went away before its body ended.") from error
        if not body:
            raise Malformed("The body is empty.")
        return decode(body, request.headers.get("content-encoding", ""), bytes_max=bytes_max)


@contextmanager
def _accounted() -> Iterator[None]:
    """What is refused in the block is in the metrics, once."""
    try:
        yield
    except RequestError as error:
        accounts.refused(error)
        raise


def is_ndjson(request: Request) -> bool:
    """Whether the content type says: an object a line."""
    media_type, _, _ = request.headers.get("content-type", "").partition(";")
    return media_type.strip().lower() in _NDJSON


def _traceparent(request: Request) -> str:
    """The request's trace context; a new one, marked as not sampled, where it is absent or not valid."""
    given = request.headers.get("traceparent", "")
    if TRACEPARENT.fullmatch(given):
        return given
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-00"
