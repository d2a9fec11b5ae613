"""An answer of the cache as HTTP: X-Cache, Cache-Control, ETag and 304, and RFC 9211 Cache-Status."""

from collections.abc import Mapping
from http import HTTPStatus

from fastapi import Response

from services.cache.cache import Answer, Outcome


def respond(answer: Answer, *, if_none_match: str | None, redis_in_use: bool) -> Response:
    """The response to a get: 200 with the body, or 304 where the client has the same data."""
    headers = _headers(answer, redis_in_use)
    if if_none_match is not None and matches(if_none_match, answer.entry.etag):
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    return Response(answer.entry.body, headers=headers, media_type="application/json")


def matches(if_none_match: str, etag: str) -> bool:
    """Whether a client has it already, compared weakly (RFC 9110, section 13.1.2)."""
    if if_none_match.strip() == "*":
        return True
    wanted = etag.removeprefix("W/")
    return any(candidate.strip().removeprefix("W/") == wanted for candidate in if_none_match.split(","))


def _headers(answer: Answer, redis_in_use: bool) -> Mapping[str, str]:
    left_s = int(answer.ttl_s)  # rounded down: never longer than it lives here
    headers = {
        "X-Cache": answer.outcome.value,
        # what is left, and no Age: a cache in front of this one counts from here
        "Cache-Control": f"public, max-age={left_s}",
        "ETag": answer.entry.etag,
        "Cache-Status": _cache_status(answer, left_s),
    }
    if answer.outcome is Outcome.STALE:
        # nobody should keep what could not be confirmed
        headers["Cache-Control"] = "public, max-age=0"
        headers["Warning"] = '110 signalbox "The source is away; this may be out of date"'
    elif not redis_in_use:
        headers["Warning"] = '199 signalbox "Redis is away; answered without it"'
    return headers


def _cache_status(answer: Answer, left_s: int) -> str:
    match answer.outcome:
        case Outcome.HIT:
            status = f"signalbox; hit; ttl={left_s}; detail={answer.level}"
        case Outcome.STALE:
            status = f"signalbox; hit; ttl={left_s}; detail=unconfirmed"
        case Outcome.MISS:
            status = f"signalbox; fwd=uri-miss; ttl={left_s}" + ("; stored" if answer.stored else "")
    return status + ("; collapsed" if answer.collapsed else "")
