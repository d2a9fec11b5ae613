"""CORS for what pages of other origins call: posting events, and loading the browser library.

Any origin may: the public key is in every page, so it is no secret, and no cookie takes part. Routes that need the
secret key have none of this.
"""

from http import HTTPStatus

from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

_POSTED = ("/v1/events", "/error-tracking")
_LOADED = "/monitoring"
#: What lets pages read an answer.
ALLOWED = [(b"access-control-allow-origin", b"*"), (b"access-control-expose-headers", b"Retry-After")]
_PREFLIGHT = {
    "Access-Control-Allow-Origin": "*",
    "Access-Control-Allow-Methods": "GET, HEAD, POST, OPTIONS",
    "Access-Control-Allow-Headers": "authorization, content-type, content-encoding, traceparent, tracestate",
    "Access-Control-Max-Age": "86400",  # Chromium keeps it for 7200 s at most, Firefox for a day
}


class Cors:
    """Answers preflight requests, and lets pages read the other answers."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http" or not _is_for_pages(scope["path"]):
            await self._app(scope, receive, send)
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
    return path in _POSTED or path.startswith(_LOADED)
