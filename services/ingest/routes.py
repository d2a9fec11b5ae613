"""The producing routes: bytes in, an answer after Kafka has everything."""

from http import HTTPStatus

from fastapi import APIRouter, Request, Response

from services.ingest import accounts, metrics, openapi
from services.ingest.accept import Accepted, Acceptor
from services.ingest.contract import EventsAccepted, ListAccepted, OneAccepted, Rejected
from services.ingest.limits import retry_after_s
from services.ingest.publisher import Durability, Publisher
from services.ingest.receive import Receiver, is_ndjson
from services.ingest.record import DURABILITY_HEADER
from shared.errors import Invalid, PublishError, Unavailable
from shared.http import Access, json_response

_IDEMPOTENCY_KEY_CHARS_MAX = 255


def build(receiver: Receiver, acceptor: Acceptor, publisher: Publisher) -> APIRouter:
    """The routes, over parts that are built once a process."""
    router = APIRouter(tags=["producers"], default_response_class=Response)

    @router.post("/v1/events", **openapi.EVENTS)
    async def events(request: Request) -> Response:
        async with receiver.receive(request, Access.WRITE_EVENTS) as (body, arrival):
            accepted = acceptor.events(body, arrival, lines=is_ndjson(request))
            durability = await publish(publisher, accepted, len(body))
        return events_accepted(accepted, durability)

    @router.post("/error-tracking", **openapi.EVENT_BATCH)
    async def error_tracking(request: Request) -> Response:
        async with receiver.receive(request, Access.WRITE_EVENTS) as (body, arrival):
            accepted = acceptor.event_batch(body, arrival)
            durability = await publish(publisher, accepted, len(body))
        return events_accepted(accepted, durability)

    @router.post("/v1/jobs", **openapi.JOBS)
    async def jobs(request: Request) -> Response:
        async with receiver.receive(request, Access.EVERYTHING) as (body, arrival):
            accepted = acceptor.jobs(
                body, arrival, idempotency_key=_idempotency_key(request), lines=is_ndjson(request)
            )
            durability = await publish(publisher, accepted, len(body))
        return _accepted(accepted, durability)

    @router.post("/v1/changes", **openapi.CHANGES)
    async def changes(request: Request) -> Response:
        async with receiver.receive(request, Access.EVERYTHING) as (body, arrival):
            accepted = acceptor.changes(body, arrival, lines=is_ndjson(request))
            durability = await publish(publisher, accepted, len(body))
        return _accepted(accepted, durability)

    return router


async def publish(publisher: Publisher, accepted: Accepted, body_bytes: int) -> Durability:
    """Publish what was accepted, and count it; where it is now. Raises Unavailable."""
    try:
        durability = await publisher.publish(accepted.messages)
    except PublishError as error:
        refusal = Unavailable(
            "Neither Kafka nor the spool took all of it; some may be stored. Send it again, with the same ids.",
            retry_after_s=retry_after_s(),
        )
        raise accounts.unavailable(refusal, len(accepted.messages)) from error
    metrics.BODY_BYTES.inc(body_bytes)
    counts: dict[str, int] = {}
    for message in accepted.messages:
        name = message.topic.name
        counts[name] = counts.get(name, 0) + 1
    for name, count in counts.items():
        metrics.ITEMS_ACCEPTED.labels(name).inc(count)
    return durability


def events_accepted(accepted: Accepted, durability: Durability) -> Response:
    """The answer to accepted events."""
    answer = EventsAccepted(len(accepted.ids), accepted.ids, _rejected(accepted))
    return _stored(answer, durability)


def _accepted(accepted: Accepted, durability: Durability) -> Response:
    if accepted.alone:
        return _stored(OneAccepted(accepted.ids[0]), durability)
    return _stored(ListAccepted(accepted.ids, _rejected(accepted)), durability)


def _stored(answer: object, durability: Durability) -> Response:
    response = json_response(answer, HTTPStatus.ACCEPTED)
    response.headers[DURABILITY_HEADER] = durability
    return response


def _rejected(accepted: Accepted) -> list[Rejected]:
    return [Rejected(rejection.index, rejection.reason) for rejection in accepted.rejected]


def _idempotency_key(request: Request) -> str:
    key = request.headers.get("idempotency-key", "")
    if len(key) > _IDEMPOTENCY_KEY_CHARS_MAX:
        raise Invalid(f"Idempotency-Key is longer than {_IDEMPOTENCY_KEY_CHARS_MAX} characters.")
    return key
