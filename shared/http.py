"""What every HTTP service has: problem+json for errors, keys, /livez, /readyz, /metrics and request metrics."""

import hmac
import time
from collections.abc import Mapping
from enum import IntEnum
from http import HTTPStatus
from typing import Any

import msgspec
from fastapi import FastAPI, Request, Response
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from shared import health, logs, metrics
from shared.errors import Forbidden, Invalid, RequestError, TooLarge, Unauthorized
from shared.settings import KeySettings

_log = logs.get(__name__)

PROBLEM_JSON = "application/problem+json"


class Access(IntEnum):
    """What a key allows; a higher one includes the lower."""

    WRITE_EVENTS = 1
    EVERYTHING = 2


def problem(error: RequestError) -> Response:
    """An RFC 9457 response; `errors` is an extension member that says what is wrong and where."""
    body: dict[str, Any] = {
        "type": "about:blank",
        "title": error.status.phrase,
        "status": error.status.value,
        "detail": error.detail,
    }
    if error.errors:
        body["errors"] = error.errors
    headers = dict(error.headers)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if isinstance(error, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return Response(msgspec.json.encode(body), error.status, headers, media_type=PROBLEM_JSON)


def json_response(value: object, status: HTTPStatus = HTTPStatus.OK) -> Response:
    """Structs, dates and enums as JSON, encoded by msgspec."""
    return Response(msgspec.json.encode(value), status, media_type="application/json")


def require(request: Request, keys: KeySettings, access: Access) -> None:
    """Return when the request shows a key that allows `access`.

    Raises Unauthorized without a known key, Forbidden with the public one where the secret one is needed.
    """
    require_key(shown_key(request), keys, access)


def shown_key(request: Request) -> str:
    """The key that a request shows, known or not; empty without one."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else request.query_params.get("key", "")


def require_key(shown: str, keys: KeySettings, access: Access) -> None:
    """The same as `require` for a key that was shown in another way."""
    if not shown:
        raise Unauthorized("Show a key: `Authorization: Bearer KEY`, or `?key=KEY`.")
    if _same(shown, keys.secret_key.get_secret_value()):
        return
    if not _same(shown, keys.public_key.get_secret_value()):
        raise Unauthorized("This key is not known here.")
    if access > Access.WRITE_EVENTS:
        raise Forbidden("The public key only writes events; this needs the secret key.")


def _same(shown: str, known: str) -> bool:
    return hmac.compare_digest(shown.encode(errors="surrogateescape"), known.encode())


def install(app: FastAPI, *, service: str, checks: Mapping[str, health.Check]) -> None:
    """Give `app` its operational routes, its error answers and its request metrics."""
    _install_errors(app)
    _install_operations(app, checks)
    app.add_middleware(_RequestMetrics, http_metrics=metrics.http_metrics(service))


def _install_operations(app: FastAPI, checks: Mapping[str, health.Check]) -> None:
    @app.get("/livez", tags=["operations"], summary="Is the process alive?")
    async def livez() -> dict[str, str]:
        return {"status": "ok"}

    @app.get("/readyz", tags=["operations"], summary="Can it do its work now?")
    async def readyz() -> Response:
        readiness = await health.examine(checks)
        status = HTTPStatus.OK if readiness.ready else HTTPStatus.SERVICE_UNAVAILABLE
        body = {"status": "ok" if readiness.ready else "unavailable", "checks": readiness.checks}
        return json_response(body, status)

    text = {"content": {"text/plain": {"schema": {"type": "string"}}}}

    @app.get(
        "/metrics",
        tags=["operations"],
        summary="Metrics for Prometheus",
        response_class=Response,
        responses={HTTPStatus.OK.value: text},
    )
    async def prometheus() -> Response:
        body, content_type = metrics.exposition()
        return Response(body, headers={"Content-Type": content_type})


def _install_errors(app: FastAPI) -> None:
    @app.exception_handler(RequestError)
    async def request_error(_: Request, error: RequestError) -> Response:
        return problem(error)

    @app.exception_handler(RequestValidationError)
    async def validation_error(_: Request, error: RequestValidationError) -> Response:
        errors = [
            {"at": ".".join(str(part) for part in item["loc"]), "reason": item["msg"]}
            for item in error.errors()
        ]
        return problem(Invalid("The request does not follow its contract.", errors=errors))

    @app.exception_handler(HTTPException)
    async def http_exception(_: Request, error: HTTPException) -> Response:
        status = HTTPStatus(error.status_code)
        body = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": str(error.detail),
        }
        return Response(msgspec.json.encode(body), status, error.headers, media_type=PROBLEM_JSON)

    @app.exception_handler(Exception)
    async def unexpected(request: Request, error: Exception) -> Response:
        _log.error("request_failed", method=request.method, path=request.url.path, exc_info=error)
        status = HTTPStatus.INTERNAL_SERVER_ERROR
        body = {
            "type": "about:blank",
            "title": status.phrase,
            "status": status.value,
            "detail": "A defect of ours.",
        }
        return Response(msgspec.json.encode(body), status, media_type=PROBLEM_JSON)


async def body_of(request: Request, *, bytes_max: int) -> bytes:
    """The request's body, read no further than its limit. Raises TooLarge (413)."""
    limit = TooLarge(f"The body is larger than {bytes_max} bytes.")
    declared = request.headers.get("content-length", "0")
    if declared.isdigit() and int(declared) > bytes_max:
        raise limit
    body = bytearray()
    async for chunk in request.stream():
        body += chunk
        if len(body) > bytes_max:
            raise limit
    return bytes(body)


class _RequestMetrics:
    """Counts and times requests by route template; an ASGI middleware without a task of its own."""

    def __init__(self, app: ASGIApp, http_metrics: metrics.HttpMetrics) -> None:
        self._app = app
        self._metrics = http_metrics

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status = HTTPStatus.INTERNAL_SERVER_ERROR.value
        started = time.perf_counter()

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "unmatched")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            self._metrics.answered(method, route, status, seconds=time.perf_counter() - started)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})
