"""The hot routes: `POST /v1/events` and `/error-tracking` without FastAPI's routing.

They run the same parts as `receive` and `routes` do, in the same order. What needs more of a request than its key,
its trace context and a plain JSON body (Content-Encoding, NDJSON by its content type) is left to those.
"""

import os
from collections.abc import Callable
from typing import NamedTuple

import msgspec
from starlette.types import Scope

from services.ingest import accounts, cors
from services.ingest.accept import Accepted, Acceptor
from services.ingest.contract import EventsAccepted
from services.ingest.keys import Grant
from services.ingest.messages import Arrival
from services.ingest.publisher import Durability, Publisher
from services.ingest.rates import Category
from services.ingest.receive import TRACEPARENT, Receiver
from services.ingest.record import DURABILITY_HEADER
from services.ingest.routes import events_accepted, publish
from services.ingest.settings import IngestSettings
from shared.clock import Clock
from shared.errors import RequestError
from shared.hotpath import Answer, Headers
from shared.http import problem

_ENCODER = msgspec.json.Encoder()
_JSON = (b"content-type", b"application/json")
_DURABILITY = {each: (DURABILITY_HEADER.lower().encode(), each.encode()) for each in Durability}


class Head(NamedTuple):
    """What a request says before its body."""

    grant: Grant
    traceparent: str


class HotEvents:
    """A `HotRoute` for events; `accept` is what makes messages of a body."""

    method = "POST"

    def __init__(
        self,
        path: str,
        accept: Callable[[bytes, Arrival], Accepted],
        receiver: Receiver,
        publisher: Publisher,
        settings: IngestSettings,
        clock: Clock,
    ) -> None:
        self.path = path
        self.body_bytes_max = settings.body_bytes_max
        self._accept = accept
        self._in_flight = receiver.in_flight
        self._publisher = publisher
        self._clock = clock
        self._keyring = receiver.keyring

    def recognize(self, scope: Scope, headers: Headers) -> Head | None:
        """See `HotRoute`: a known key, and a plain body."""
        authorization, query = headers.get(b"authorization", b""), scope["query_string"]
        if authorization and query:
            return None
        grant = self._keyring.find(authorization, query)
        if grant is None or b"content-encoding" in headers or _is_ndjson(headers.get(b"content-type", b"")):
            return None
        if grant.project.origins is not None and b"origin" in headers:
            return None
        return Head(grant, _traceparent(headers.get(b"traceparent")))

    async def answer(self, head: Head, body: bytes) -> Answer | None:
        """See `HotRoute`."""
        if not body:
            return None
        try:
            grant = head.grant
            grant.rates.require(Category.REQUEST)
            self._in_flight.check()
            self._in_flight.take(len(body))
            try:
                arrival = Arrival(
                    self._clock.now(),
                    grant.project.name,
                    grant.source,
                    head.traceparent,
                    grant.project.scrubber,
                    grant.rates,
                )
                accepted = self._accept(body, arrival)
                durability = await publish(self._publisher, accepted, len(body))
            finally:
                self._in_flight.give_back(len(body))
        except RequestError as error:
            accounts.refused(error)
            answer = Answer.of(problem(error))
            return answer._replace(headers=answer.headers + cors.ALLOWED)
        if accepted.rejected:
            answer = Answer.of(events_accepted(accepted, durability))
            return answer._replace(headers=answer.headers + cors.ALLOWED)
        text = _ENCODER.encode(EventsAccepted(len(accepted.ids), accepted.ids, []))
        length = (b"content-length", b"%d" % len(text))
        return Answer(202, [length, _JSON, _DURABILITY[durability], *cors.ALLOWED], text)


def build(
    acceptor: Acceptor, receiver: Receiver, publisher: Publisher, settings: IngestSettings, clock: Clock
) -> list[HotEvents]:
    """The hot routes, over the parts that the other routes have."""
    return [
        HotEvents("/v1/events", acceptor.events, receiver, publisher, settings, clock),
        HotEvents("/error-tracking", acceptor.event_batch, receiver, publisher, settings, clock),
    ]


def _is_ndjson(content_type: bytes) -> bool:
    """Whether it may say so; `is_ndjson` knows."""
    name = content_type.lower()
    return b"ndjson" in name or b"jsonl" in name


def _traceparent(given: bytes | None) -> str:
    """As `receive.traceparent`, from a request's bytes, and with one call for random bytes instead of two."""
    if given is not None:
        text = given.decode("latin-1")
        if TRACEPARENT.fullmatch(text):
            return text
    random = os.urandom(24).hex()
    return f"00-{random[:32]}-{random[32:]}-00"
