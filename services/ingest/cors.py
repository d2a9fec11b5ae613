"""CORS for what pages of other origins call: posting events in any protocol, and loading the browser library.

Any origin may, but where a project names those that it knows: the public key is in every page, so it is no secret, and
no cookie takes part. Routes that need the secret key have none of this.
"""

from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.ingest.keys import ForbiddenOrigin, Keyring
from shared.http import problem

_POSTED = ("/v1/events", "/error-tracking", "/v1/logs", "/v1/metrics", "/v1/traces")
_SENTRY = ("/envelope/", "/envelope", "/store/", "/store")
_LOADED = "/monitoring"
#: What lets pages read an answer.
ALLOWED = [
    (b"access-control-allow-origin", b"*"),
    (b"access-control-expose-headers", b"Retry-After, X-Sentry-Error, X-Sentry-Rate-Limits"),
]
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, content-encoding, traceparent, tracestate, baggage, "
    "sentry-trace, x-requested-with, x-sentry-auth",
    "Access-Control-Max-Age": "86400",  # Chromium keeps it for 7200 s at most, Firefox for a day
}


class Cors:
    """Answers preflight requests, and lets pages read the other answers."""

    def __init__(self, app: ASGIApp, keyring: Keyring) -> None:
        self._app = app
        self._keyring = keyring

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_for_pages(scope["path"]):
            await self._app(scope, receive, send)
            return
        if self._keyring.refuses_origin(dict(scope["headers"]), scope["query_string"]):
            if scope["method"] == "OPTIONS":
                await problem(ForbiddenOrigin())(scope, receive, send)
            else:
                await self._app(scope, receive, send)  # which refuses it too; its page may not read why
            return
        if scope["method"] == "OPTIONS":
            await Response(status_code=HTTPStatus.NO_CONTENT, headers=_PREFLIGHT)(scope, receive, send)
            return

        async def allow(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *ALLOWED]
            await send(message)

        await self._app(scope, receive, allow)


def _is_for_pages(path: str) -> bool:
    return (
        path in _POSTED or path.startswith(_LOADED) or (path.startswith("/api/") and path.endswith(_SENTRY))
    )
