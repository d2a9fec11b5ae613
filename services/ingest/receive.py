"""One request up to its body: whose key it shows, whether there is room for it, and its bytes, decompressed."""

import asyncio
import re
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus

from fastapi import Request
from starlette.requests import ClientDisconnect

from services.ingest.decode import decode
from services.ingest.limits import InFlight
from services.ingest.messages import Arrival
from services.ingest.settings import IngestSettings
from shared import http
from shared.clock import Clock
from shared.contracts.events import Source
from shared.errors import Forbidden, Malformed, RequestError

#: W3C Trace Context, version 00: trace id, parent id, flags. All zeros are not valid.
TRACEPARENT = re.compile(r"00-(?!0{32})[0-9a-f]{32}-(?!0{16})[0-9a-f]{16}-[0-9a-f]{2}")
_NDJSON = frozenset({"application/x-ndjson", "application/ndjson", "application/jsonl"})


class SlowBody(RequestError):
    """The body did not arrive in time."""

    status = HTTPStatus.REQUEST_TIMEOUT


class Receiver:
    """Receives requests of producers."""

    def __init__(self, settings: IngestSettings, clock: Clock) -> None:
        self._settings = settings
        self._clock = clock
        self.in_flight = InFlight(settings.in_flight_bytes_max)

    @asynccontextmanager
    async def receive(self, request: Request, access: http.Access) -> AsyncIterator[tuple[bytes, Arrival]]:
        """The body, and what else is known; the body counts as in flight until the block ends.

        Raises Unauthorized, Forbidden, Unavailable, TooLarge, SlowBody, Malformed and UnsupportedMedia.
        """
        source = self._source(request, access)
        self.in_flight.check()
        body = await self._body(request)
        with self.in_flight.hold(len(body)):
            arrival = Arrival(self._clock.now(), self._settings.project, source, _traceparent(request))
            yield body, arrival

    def _source(self, request: Request, access: http.Access) -> Source:
        http.require(request, self._settings, access)
        try:
            http.require(request, self._settings, http.Access.EVERYTHING)
        except Forbidden:
            return "browser"  # the public key is the one that pages have
        return "server"

    async def _body(self, request: Request) -> bytes:
        bytes_max = self._settings.body_bytes_max
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
