"""The OpenAPI document: bodies and answers from the msgspec types that decode and encode them."""

from collections.abc import Callable
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from services.ingest.contract import (
    EventBatch,
    EventsAccepted,
    JobSubmission,
    ListAccepted,
    OneAccepted,
    Problem,
)
from services.ingest.record import DURABILITY_HEADER, Durability
from shared.contracts.cache import Change
from shared.contracts.events import AnyEvent

Route = dict[str, Any]

_TYPES = (AnyEvent, JobSubmission, Change, EventBatch, EventsAccepted, OneAccepted, ListAccepted, Problem)
_SCHEMAS, _COMPONENTS = msgspec.json.schema_components(_TYPES, ref_template="#/components/schemas/{name}")
_EVENT, _JOB, _CHANGE, _EVENT_BATCH, _EVENTS_ACCEPTED, _ONE_ACCEPTED, _LIST_ACCEPTED, _PROBLEM = _SCHEMAS
_COMPONENTS["EventBatch"]["properties"]["events"] |= {"type": "array", "minItems": 1, "items": _EVENT}

_WHY = {
    400: "Not HTTP, not UTF-8, not JSON, nested too deeply, text with NUL or half a surrogate pair, or not the stream that "
    "Content-Encoding says.",
    401: "No key, or an unknown one.",
    403: "The public key, where the secret one is needed, or a page of an origin that the project does not allow.",
    404: "Not here.",
    405: "The method is not one of this route's.",
    408: "The head or the body did not arrive in time; the connection is closed.",
    413: "The body, an item, or the number of items is over its limit.",
    415: "An unknown Content-Encoding.",
    422: "Not one item follows its contract; `errors` says why.",
    429: "The key has sent more than its limit, and of this request nothing was taken.",
    431: "The head has too many fields, or too many bytes; the connection is closed.",
    500: "A defect of ours.",
    503: "Kafka does not take records and the spool is full, or too much is in work at once.",
}
_RETRY_AFTER = {"Retry-After": {"description": "In seconds.", "schema": {"type": "integer"}}}
_DURABILITY = {
    DURABILITY_HEADER: {
        "description": "Where all of it is: `kafka`, or in part `spool`, on the disk of a machine that Kafka does not answer.",
        "schema": {"type": "string", "enum": [each.value for each in Durability]},
    }
}
_RATE_LIMIT = {
    "RateLimit-Policy": {
        "description": 'The category, its limit `q` and the seconds `w` that it is for: `"error";q=600;w=60`.',
        "schema": {"type": "string"},
    },
    "RateLimit": {
        "description": 'What remains, `r`, and the seconds until there is more, `t`: `"error";r=0;t=3`.',
        "schema": {"type": "string"},
    },
}
_ENCODINGS = ["gzip", "deflate", "br", "zstd", "identity"]


def _problem(status: int) -> Route:
    answer: Route = {
        "description": _WHY[status],
        "content": {"application/problem+json": {"schema": _PROBLEM}},
    }
    if status == 429:
        return answer | {"headers": _RETRY_AFTER | _RATE_LIMIT}
    return answer | ({"headers": _RETRY_AFTER} if status == 503 else {})


def problems(*statuses: int) -> dict[int | str, Route]:
    """How the answers with these statuses are documented."""
    return {status: _problem(status) for status in statuses}


def _header(name: str, description: str, **schema: Any) -> Route:
    return {"name": name, "in": "header", "description": description, "schema": {"type": "string", **schema}}


def _producing(
    summary: str, content: Route, answer: Route, *, secret: bool, headers: tuple[Route, ...] = ()
) -> Route:
    errors = [400, 401, 403, 405, 408, 413, 415, 422, 429, 431, 500, 503]
    accepted = {
        "description": "It will not be lost: it is on Kafka, or on a disk until it is.",
        "headers": _DURABILITY,
        "content": {"application/json": {"schema": answer}},
    }
    parameters = [
        _header("Content-Encoding", "How the body is compressed.", enum=_ENCODINGS),
        _header("traceparent", "W3C trace context; it travels with the records."),
        *headers,
    ]
    return {
        "summary": summary,
        "status_code": 202,
        "responses": {202: accepted} | {status: _problem(status) for status in sorted(errors)},
        "openapi_extra": {
            "requestBody": {"required": True, "content": content},
            "parameters": parameters,
            "security": [{"bearer": []}, {"query": []}],
        },
    }


def _one_or_many(item: Route) -> Route:
    """One object, an array of them, or one a line."""
    return {
        "application/json": {"schema": {"oneOf": [item, {"type": "array", "minItems": 1, "items": item}]}},
        "application/x-ndjson": {"schema": {"type": "string", "description": "An object a line."}},
    }


def _script(summary: str) -> Route:
    return {
        "summary": summary,
        "responses": {
            200: {
                "description": "The script.",
                "content": {"text/javascript": {"schema": {"type": "string"}}},
            },
            304: {"description": "The copy that If-None-Match names is the same."},
            404: _problem(404),
            405: _problem(405),
        },
    }


_EITHER = {"oneOf": [_ONE_ACCEPTED, _LIST_ACCEPTED]}

EVENTS = _producing("Report events", _one_or_many(_EVENT), _EVENTS_ACCEPTED, secret=False)
EVENT_BATCH = _producing(
    "Report the events that the browser library has buffered",
    {"text/plain": {"schema": _EVENT_BATCH}, "application/json": {"schema": _EVENT_BATCH}},
    _EVENTS_ACCEPTED,
    secret=False,
)
JOBS = _producing(
    "Ask for jobs to be run",
    _one_or_many(_JOB),
    _EITHER,
    secret=True,
    headers=(_header("Idempotency-Key", "The same key asks for the same jobs.", maxLength=255),),
)
CHANGES = _producing(
    "Say what has changed, so that caches forget it", _one_or_many(_CHANGE), _EITHER, secret=True
)
LIBRARY = _script("The browser library")
_HASH = {"name": "hash", "in": "path", "required": True, "schema": {"type": "string"}}
LIBRARY_VERSION = _script("One version of the browser library, to be cached for ever") | {
    "openapi_extra": {"parameters": [_HASH]}
}


def documents(app: FastAPI) -> Callable[[], Route]:
    """What `app.openapi` is to be: FastAPI's document, with our components."""

    def openapi() -> Route:
        if app.openapi_schema is None:
            document = get_openapi(title=app.title, version=app.version, routes=app.routes)
            components = document.setdefault("components", {})
            components.setdefault("schemas", {}).update(_COMPONENTS)
            components["securitySchemes"] = {
                "bearer": {"type": "http", "scheme": "bearer"},
                "query": {"type": "apiKey", "in": "query", "name": "key"},
                "sentry": {"type": "apiKey", "in": "query", "name": "sentry_key"},
            }
            app.openapi_schema = document
        return app.openapi_schema

    return openapi
