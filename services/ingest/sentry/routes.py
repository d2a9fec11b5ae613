"""`POST /api/{project}/envelope/` and `/api/{project}/store/`, for unmodified Sentry SDKs.

SDKs send everything once, and count what is not answered 2xx as lost. So once a request is known to be a client's of
ours it is answered 200 with the event's id: items without a place here are filtered, those that cannot be read are
rejected, and records that neither Kafka nor the spool takes are dropped, each of them counted.
"""

from collections.abc import Awaitable, Callable
from typing import Any

from fastapi import APIRouter, Request, Response

from services.ingest import messages, metrics, openapi
from services.ingest.accept import RECORD_BYTES_MAX
from services.ingest.admission import admit
from services.ingest.items import Flaw, FlawedItem
from services.ingest.messages import Arrival, Draft
from services.ingest.publisher import Publisher
from services.ingest.rates import Category
from services.ingest.receive import Dialect, Receiver
from services.ingest.sentry import auth, envelope, errors, items, limits, store
from services.ingest.sentry.envelope import Envelope
from services.ingest.sentry.items import Read
from services.ingest.settings import IngestSettings
from shared.contracts.events import AnyEvent, Error
from shared.errors import Forbidden, Malformed, RequestError
from shared.http import json_response, problem

_ANSWER = {
    "type": "object",
    "properties": {"id": {"type": "string", "description": "The event's, where there is one."}},
}
_DOCUMENT: dict[str, Any] = {
    "responses": {
        200: {
            "description": "Taken, filtered or rejected item by item, and counted.",
            "content": {"application/json": {"schema": _ANSWER}},
        },
        **openapi.problems(400, 401, 403, 405, 408, 413, 415, 429, 431, 500, 503),
    },
    "openapi_extra": {
        "parameters": [
            {
                "name": "project",
                "in": "path",
                "required": True,
                "schema": {"type": "string"},
                "description": "The last part of the DSN.",
            }
        ],
        "requestBody": {
            "required": True,
            "content": {
                "application/x-sentry-envelope": {"schema": {"type": "string", "format": "binary"}},
                "text/plain": {"schema": {"type": "string"}},
            },
        },
        "security": [{"bearer": []}, {"sentry": []}],
    },
}


def build(receiver: Receiver, publisher: Publisher, settings: IngestSettings) -> APIRouter:
    """The routes, with and without the slash at the end."""
    router = APIRouter(tags=["sentry"], default_response_class=Response)
    bytes_max = settings.protocol_body_bytes_max
    by_envelope = Dialect("sentry", auth.key_of, auth.key_in_envelope, bytes_max)
    by_store = Dialect("sentry", auth.key_of, None, bytes_max)

    def route(path: str, summary: str, answer: Callable[[Request], Awaitable[Response]]) -> None:
        async def guarded(request: Request) -> Response:
            try:
                return await answer(request)
            except RequestError as error:
                return _refusal(error)

        guarded.__name__ = path.rsplit("/", 1)[-1]
        router.post(f"{path}/", summary=summary, **_DOCUMENT)(guarded)
        router.post(path, include_in_schema=False)(guarded)

    async def post_envelope(request: Request) -> Response:
        async with receiver.receive_foreign(request, by_envelope) as (body, arrival):
            _require_project(request, arrival)
            received = envelope.parse(body)
            read = items.read(received, user_agent=_user_agent(request))
            await _publish(publisher, read, received, arrival, len(body))
        return _answer(received.event_id, arrival)

    async def post_store(request: Request) -> Response:
        async with receiver.receive_foreign(request, by_store) as (body, arrival):
            _require_project(request, arrival)
            payload = store.unwrap(body, bytes_max=bytes_max)
            try:
                event_id, read = items.stored(payload, user_agent=_user_agent(request))
            except FlawedItem as error:
                raise Malformed(error.reason) from error
            await _publish(publisher, read, None, arrival, len(body))
        return _answer(event_id, arrival)

    route("/api/{project}/envelope", "Report by a Sentry SDK", post_envelope)
    route("/api/{project}/store", "Report by a Sentry SDK of before envelopes", post_store)
    return router


async def _publish(
    publisher: Publisher, read: Read, received: Envelope | None, arrival: Arrival, body_bytes: int
) -> None:
    sent_at = None if received is None else received.sent_at
    drafts: list[Draft] = []
    oversized = 0
    for event in admit(read.events, arrival):
        draft = _draft(event, arrival, sent_at)
        if draft is None:
            oversized += 1
        else:
            drafts.append(draft)
    for flaw in (*read.flaws, *[Flaw.SIZE] * oversized):
        metrics.ITEMS_REJECTED.labels(flaw).inc()
    metrics.BODY_BYTES.inc(body_bytes)
    if drafts and await publisher.offer([draft.message for draft in drafts]) is not None:
        for draft in drafts:
            metrics.ITEMS_ACCEPTED.labels(draft.message.topic.name).inc()


def _draft(event: AnyEvent, arrival: Arrival, sent_at: Any) -> Draft | None:
    """The event's message; an error that is too large for a record comes without what it can miss."""
    draft = messages.of_event(event, arrival, sent_at=sent_at)
    if draft.message.size() > RECORD_BYTES_MAX and isinstance(event, Error):
        draft = messages.of_event(errors.slimmed(event), arrival, sent_at=sent_at)
    return draft if draft.message.size() <= RECORD_BYTES_MAX else None


def _require_project(request: Request, arrival: Arrival) -> None:
    if request.path_params["project"] != arrival.project:
        raise Forbidden("The key is not one of this project: the DSN's last part names it.")


def _user_agent(request: Request) -> str:
    return request.headers.get("user-agent", "")


def _answer(event_id: str, arrival: Arrival) -> Response:
    """As Sentry answers, with what the client had better not send for now; without an event there is no id."""
    response = json_response({"id": event_id} if event_id else {})
    if limited := limits.header(arrival.rates.exhausted()):
        response.headers[limits.HEADER] = limited
    return response


def _refusal(error: RequestError) -> Response:
    """A problem, and what SDKs log of one.

    SDKs send nothing twice, so what comes before the time is over is lost too; but they obey the header in whatever
    answer it is, and count what they keep to themselves, instead of knocking at a door that is shut.
    """
    response = problem(error)
    if error.retry_after_s is not None:
        response.headers[limits.HEADER] = limits.header({Category.REQUEST: error.retry_after_s})
    said = error.detail.encode("ascii", "replace").decode()
    response.headers["X-Sentry-Error"] = "".join(each if each.isprintable() else " " for each in said)
    return response
