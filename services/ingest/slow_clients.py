"""HTTP/1.1 with the limits that uvicorn's httptools protocol lacks: on a head's size, and on how long requests take.

A head (request line and fields) of too many bytes or fields is answered 431, one that does not end in time 408, and so
is a body that does not end in time, unless it has its answer already. Each closes the connection, and says why in a
problem+json. Connections that send nothing cost memory and no more; they are closed as idle ones are, after a while.
A request that arrives in one piece, as nearly all do, meets no timer.
"""

import asyncio
from http import HTTPStatus
from typing import Any

import msgspec
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from services.ingest import metrics
from services.ingest.settings import IngestSettings

#: The routes have the same deadline for bodies, and answer by themselves; this one is for those that wait for nothing.
_BODY_GRACE_S = 0.5
#: How long to read on after a refusal: resetting the connection would take the answer from a client that still writes.
_LINGER_S = 1.0


def protocol(settings: IngestSettings) -> type[asyncio.Protocol]:
    """The class for uvicorn's `http`; it makes one object a connection."""

    class LimitedProtocol(_LimitedProtocol):
        head_bytes_max = settings.head_bytes_max
        head_fields_max = settings.head_fields_max
        head_timeout_s = settings.head_timeout_s
        body_timeout_s = settings.body_timeout_s + _BODY_GRACE_S

    return LimitedProtocol


class _Refused(Exception):
    """Stops the parser from within one of its callbacks; what to answer is known by then."""


class _LimitedProtocol(HttpToolsProtocol):
    head_bytes_max: int
    head_fields_max: int
    head_timeout_s: float
    body_timeout_s: float

    def __init__(self, *args: Any, **named: Any) -> None:
        super().__init__(*args, **named)
        self._in_head = self._in_body = self._lingering = False
        #: Bytes of the head under way, over all the pieces that it came in, and messages begun in the last piece.
        self._head_bytes = self._begun = 0
        self._timer: asyncio.TimerHandle | None = None
        self._refusal = (HTTPStatus.BAD_REQUEST, "malformed", "This is not HTTP/1.1.")

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's
        super().connection_made(transport)
        self.timeout_keep_alive_task = self.loop.call_later(
            self.timeout_keep_alive, self.timeout_keep_alive_handler
        )

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unset_keepalive_if_required()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._lingering:
            return
        self._head_bytes = len(data) if not self._in_head else self._head_bytes + len(data)
        self._begun = 0
        super().data_received(data)
        if self._lingering:
            return
        if self._in_head and self._begun <= 1 and self._head_bytes > self.head_bytes_max:
            self._refuse(*self._too_large())  # a field that does not end is in no callback
        elif self._in_head or self._is_stalled():
            self._arm(self.head_timeout_s, self._head_is_late)
        elif self._in_body:
            self._arm(self.body_timeout_s, self._body_is_late)
        else:
            self._disarm()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._in_head = True
        self._begun += 1

    def on_headers_complete(self) -> None:
        if len(self.headers) > self.head_fields_max or (
            self._head_bytes > self.head_bytes_max and self._size_of_head() > self.head_bytes_max
        ):
            self._refusal = self._too_large()
            raise _Refused
        self._disarm()
        self._in_head = False
        self._in_body = True
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._in_body = False
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """What uvicorn calls when the parser has stopped, for reasons of its own or for ours."""
        self._refuse(*self._refusal)

    def _is_stalled(self) -> bool:
        """Bytes have come that begin no request, and nothing else will close the connection."""
        idle = not self._in_body and (self.cycle is None or self.cycle.response_complete)
        return idle and self.timeout_keep_alive_task is None

    def _size_of_head(self) -> int:
        return len(self.url) + sum(len(name) + len(value) + 4 for name, value in self.headers)

    def _too_large(self) -> tuple[HTTPStatus, str, str]:
        limits = f"{self.head_fields_max} fields and {self.head_bytes_max} bytes"
        detail = f"The request's line and fields are over the limits, which are {limits}."
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "head_too_large", detail

    def _head_is_late(self) -> None:
        detail = f"The request's fields did not arrive within {self.head_timeout_s:g} s."
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "head_too_slow", detail)

    def _body_is_late(self) -> None:
        detail = f"The body did not arrive within {self.body_timeout_s:g} s."
        self._refuse(HTTPStatus.REQUEST_TIMEOUT, "body_too_slow", detail)

    def _arm(self, delay_s: float, late: Any) -> None:
        """Nothing when a timer runs already: more bytes buy no more time."""
        if self._timer is None:
            self._timer = self.loop.call_later(delay_s, late)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _refuse(self, status: HTTPStatus, reason: str, detail: str) -> None:
        """Answer, unless an answer is under way, and close."""
        self._disarm()
        self._unset_keepalive_if_required()
        self._lingering = True
        if self.transport.is_closing():
            return
        metrics.CONNECTIONS_CUT.labels(reason).inc()
        waiting = self.cycle is not None and not self.cycle.response_complete
        if waiting:
            self.cycle.disconnected = (
                True  # the app learns it from its next `receive`, and writes into the void
            )
            self.cycle.message_event.set()
        # An answer that has begun cannot be followed by another, and neither can that of the request before this one.
        answered = self._in_body and not waiting
        if answered or (waiting and (self._in_head or self.cycle.response_started)):
            self.transport.close()
            return
        self.transport.write(self._problem(status, detail))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self._timer = self.loop.call_later(_LINGER_S, self.transport.close)

    def _problem(self, status: HTTPStatus, detail: str) -> bytes:
        problem = {"type": "about:blank", "title": status.phrase, "status": status.value, "detail": detail}
        body = msgspec.json.encode(problem)
        fields = [
            *self.server_state.default_headers,
            (b"content-type", b"application/problem+json"),
            (b"content-length", b"%d" % len(body)),
            (b"connection", b"close"),
        ]
        return b"".join([STATUS_LINE[status], *(b"%s: %s\r\n" % field for field in fields), b"\r\n", body])
