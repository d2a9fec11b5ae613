"""The browser library, as pages load it: under its name, or for ever under the hash of its bytes."""

import hashlib
from http import HTTPStatus
from pathlib import Path

from fastapi import APIRouter, Request, Response

from services.ingest import openapi
from shared.errors import NotFound

PATH = Path(__file__).with_name("web") / "monitoring.js"

_AN_HOUR = "public, max-age=3600, stale-while-revalidate=86400"
_FOR_EVER = "public, max-age=31536000, immutable"
_HASH_CHARS = 16


def build(path: Path = PATH) -> APIRouter:
    """Its routes; the file is read once, so a rebuilt one needs a restart."""
    router = APIRouter(tags=["browser library"], default_response_class=Response)
    body = path.read_bytes() if path.is_file() else None
    hash = hashlib.sha256(body or b"").hexdigest()[:_HASH_CHARS]

    def answer(request: Request, cache_control: str) -> Response:
        if body is None:
            raise NotFound("The browser library is not built; see clients/browser.")
        headers = {
            "ETag": f'"{hash}"',
            "Cache-Control": cache_control,
            "Cross-Origin-Resource-Policy": "cross-origin",  # for pages that isolate themselves (COEP)
            "X-Content-Type-Options": "nosniff",
        }
        if _has(request, hash):
            return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
        return Response(body, headers=headers, media_type="text/javascript")

    @router.head("/monitoring.js", include_in_schema=False)
    @router.get("/monitoring.js", **openapi.LIBRARY)
    async def latest(request: Request) -> Response:
        return answer(request, _AN_HOUR)

    @router.head("/monitoring-{hash}.js", include_in_schema=False)
    @router.get("/monitoring-{hash}.js", **openapi.LIBRARY_VERSION)
    async def version(request: Request) -> Response:
        if request.path_params["hash"] != hash:
            raise NotFound("This version of the browser library is not here; /monitoring.js is the latest.")
        return answer(request, _FOR_EVER)

    return router


def _has(request: Request, hash: str) -> bool:
    """Whether the client's copy is the same: RFC 9110's weak comparison."""
    tags = [tag.strip().removeprefix("W/") for tag in request.headers.get("if-none-match", "").split(",")]
    return f'"{hash}"' in tags or "*" in tags
