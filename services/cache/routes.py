"""The HTTP API: `/cache-service?action=...`, and the same as resources under `/v1`.

Reading is open; whoever sets or invalidates shows the secret key. Under `/cache-service` the parameter `key` is
the cache key, so the secret key goes into the Authorization header there.
"""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Query, Request, Response
from msgspec import Meta, Struct

from services.cache import answers
from services.cache.cache import Cache
from services.cache.classes import Key, parse
from services.cache.entry import EntryBody
from services.cache.invalidation import Announcer
from services.cache.settings import CacheSettings
from services.cache.stats import Stats
from shared import http
from shared.contracts.cache import CacheTag, Change
from shared.errors import Invalid, Malformed, NotFound, TooLarge, Unauthorized
from shared.http import Access

#: What a request's body has besides the value: keys, tags, punctuation.
_ENVELOPE_BYTES = 65_536
TAGS_MAX = 32

T = TypeVar("T")


class Value(Struct, kw_only=True):
    """A value to set."""

    data: Annotated[Any, Meta(description="The value: any JSON.")]
    ttl: Annotated[
        Annotated[int, Meta(ge=1)] | None, Meta(description="Seconds to live; the class's own when absent.")
    ] = None
    tags: Annotated[
        list[CacheTag], Meta(max_length=TAGS_MAX, description="What else than its key invalidates it.")
    ] = []


class KeyedValue(Value, kw_only=True):
    """A value to set, and its key."""

    key: Annotated[str, Meta(description="The cache key, such as `api_responses:weather`.")]


class SetAnswer(Struct, kw_only=True):
    """What was set."""

    key: str
    ttl_s: Annotated[int, Meta(description="Seconds that it lives.")]
    etag: Annotated[str, Meta(description="The ETag that gets answer with.")]


class InvalidateAnswer(Struct, kw_only=True):
    """An invalidation that Kafka has, and that this replica has applied; the others do when they read it."""

    id: Annotated[str, Meta(description="The invalidation's UUID.")]
    partition: Annotated[int, Meta(description="Where its record stands: compare `positions` in the stats.")]
    offset: Annotated[int, Meta(description="Its offset there.")]


def create_router(
    settings: CacheSettings, cache: Cache, announcer: Announcer, stats: Callable[[], Stats]
) -> APIRouter:
    """The routes of a replica."""
    router = APIRouter()
    api = _Api(settings, cache, announcer)

    @router.head("/cache-service", include_in_schema=False)
    @router.get("/cache-service", tags=["actions"], summary="Get, invalidate, or stats", responses=_GET)
    async def read_action(
        request: Request,
        action: Literal["get", "invalidate", "stats"],
        key: Annotated[
            str, Query(description="A cache key; for `invalidate` also a prefix of keys, `technicians:*`.")
        ] = "",
    ) -> Response:
        if action == "stats":
            return http.json_response(stats())
        if action == "get":
            return await api.get(request, key)
        if request.method == "HEAD":
            raise Invalid("HEAD changes nothing: use GET or POST to invalidate.")
        _require_bearer(request, settings)
        return await api.invalidate(_change_of(key))

    @router.post(
        "/cache-service", tags=["actions"], summary="Set, or invalidate", openapi_extra=_body(KeyedValue)
    )
    async def write_action(request: Request, action: Literal["set", "invalidate"], key: str = "") -> Response:
        _require_bearer(request, settings)
        if action == "invalidate":
            return await api.invalidate(_change_of(key))
        value = _decode(await api.body(request), KeyedValue)
        return await api.set(parse(value.key), value)

    @router.head("/v1/cache/{key}", include_in_schema=False)
    @router.get("/v1/cache/{key}", tags=["cache"], summary="Get a value", responses=_GET)
    async def get(request: Request, key: str) -> Response:
        return await api.get(request, key)

    @router.put("/v1/cache/{key}", tags=["cache"], summary="Set a value", openapi_extra=_body(Value))
    async def put(request: Request, key: str) -> Response:
        http.require(request, settings, Access.EVERYTHING)
        parsed = parse(key)
        return await api.set(parsed, _decode(await api.body(request), Value))

    @router.delete("/v1/cache/{key}", tags=["cache"], summary="Forget a value, in every replica")
    async def delete(request: Request, key: str) -> Response:
        http.require(request, settings, Access.EVERYTHING)
        return await api.invalidate(_change_of(parse(key).text))

    @router.post("/v1/invalidate", tags=["cache"], summary="Say what changed", openapi_extra=_body(Change))
    async def invalidate(request: Request) -> Response:
        http.require(request, settings, Access.EVERYTHING)
        return await api.invalidate(_decode(await api.body(request), Change))

    @router.get("/v1/stats", tags=["cache"], summary="This replica's numbers")
    async def get_stats() -> Response:
        return http.json_response(stats())

    return router


class _Api:
    """What both ways to say it do."""

    def __init__(self, settings: CacheSettings, cache: Cache, announcer: Announcer) -> None:
        self._settings = settings
        self._cache = cache
        self._announcer = announcer

    async def get(self, request: Request, key: str) -> Response:
        answer = await self._cache.get(parse(key))
        if answer is None:
            raise NotFound(f"There is no {key}: it is not set, and no source gives it.")
        return answers.respond(
            answer,
            if_none_match=request.headers.get("if-none-match"),
            redis_in_use=self._cache.redis_in_use,
        )

    async def set(self, key: Key, value: Value) -> Response:
        ttl_s = key.cache_class.ttl_s if value.ttl is None else value.ttl
        if ttl_s > self._settings.cache_ttl_max_s:
            raise Invalid(f"`ttl` is at most {self._settings.cache_ttl_max_s} seconds.")
        data = msgspec.json.encode(value.data)
        if len(data) > self._settings.cache_value_bytes_max:
            raise TooLarge(f"The value is larger than {self._settings.cache_value_bytes_max} bytes of JSON.")
        entry = await self._announcer.set(key, data, tags=value.tags, ttl_s=ttl_s)
        return http.json_response(SetAnswer(key=key.text, ttl_s=ttl_s, etag=entry.etag))

    async def invalidate(self, change: Change) -> Response:
        if change.says_nothing():
            raise Invalid("Name an `entity`, a `pattern`, or `tags`.")
        announced = await self._announcer.invalidate(change)
        return http.json_response(
            InvalidateAnswer(
                id=announced.invalidation.id,
                partition=announced.position.partition,
                offset=announced.position.offset,
            )
        )

    async def body(self, request: Request) -> bytes:
        return await http.body_of(request, bytes_max=self._settings.cache_value_bytes_max + _ENVELOPE_BYTES)


def _change_of(text: str) -> Change:
    """What a key, or a prefix of keys, says when it stands for a change. Raises Invalid."""
    if text.endswith("*"):
        try:
            return msgspec.convert({"pattern": text}, Change)
        except msgspec.ValidationError as error:
            raise Invalid(
                f"A prefix of cache keys ends in `:*`, such as `technicians:*`; {text!r} is none."
            ) from error
    key = parse(text)
    return Change(entity=key.cache_class.name, key=key.rest)


def _require_bearer(request: Request, settings: CacheSettings) -> None:
    if "authorization" not in request.headers:
        raise Unauthorized("Show the secret key: `Authorization: Bearer KEY`.")
    http.require(request, settings, Access.EVERYTHING)


def _decode(body: bytes, type: type[T]) -> T:
    try:
        return msgspec.json.decode(body, type=type)
    except msgspec.ValidationError as error:
        raise Invalid(f"The body does not follow its contract: {error}") from error
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is not JSON: {error}") from error


def _schema(type: type[Struct]) -> dict[str, Any]:
    schema = msgspec.json.schema(type)
    inlined: dict[str, Any] = schema["$defs"][type.__name__]
    return inlined


def _body(type: type[Struct]) -> dict[str, Any]:
    return {"requestBody": {"required": True, "content": {"application/json": {"schema": _schema(type)}}}}


_GET: dict[int | str, dict[str, Any]] = {
    200: {
        "description": "The value, with X-Cache, Cache-Control, ETag and Cache-Status.",
        "content": {"application/json": {"schema": _schema(EntryBody)}},
    },
    304: {"description": "The client has the same data already (If-None-Match)."},
    404: {"description": "There is no such class, or no such value."},
    422: {"description": "The key does not follow the grammar."},
    503: {"description": "It is not cached, and PostgreSQL is away."},
}
