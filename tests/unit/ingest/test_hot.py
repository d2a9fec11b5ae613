"""The hot routes answer as FastAPI's routes do, and publish the same; they answer what producers usually send."""

import json
from typing import Any, NamedTuple

import pytest
from fastapi import FastAPI
from hypothesis import example, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from starlette.types import ASGIApp, Message, Scope

from services.ingest.app import create_app
from shared.contracts import headers as record_headers
from tests.unit.ingest.doubles import PUBLIC, SECRET, FixedClock, MemoryPublisher, settings
from tests.unit.ingest.test_openapi import fields, whole

BEARER, QUERY = [("authorization", f"Bearer {SECRET}")], f"key={PUBLIC}"
TRACEPARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
VIEW = {"type": "page_view", "page": "/"}


class Request(NamedTuple):
    """One, as a client sends it."""

    body: bytes
    path: str = "/v1/events"
    query: str = ""
    headers: list[tuple[str, str]] = BEARER
    method: str = "POST"


class Outcome(NamedTuple):
    """What became of a request, without what is new each time."""

    status: int
    headers: list[tuple[bytes, bytes]]
    body: Any
    published: list[Any]


async def outcome(request: Request, *, hot: bool, away: bool = False) -> tuple[Outcome, bool]:
    """What a new app makes of a request, and whether FastAPI saw it."""
    publisher = MemoryPublisher()
    publisher.away = away
    app = create_app(settings(body_bytes_max=4_000, batch_events_max=5), publisher, FixedClock())
    start, body, scope = await call(app if hot else lambda *asgi: FastAPI.__call__(app, *asgi), request)
    answer = json.loads(body)
    new = set(answer.get("ids", [])) - set(request.body.decode("latin-1").split('"'))
    varies = (b"content-length", b"retry-after")
    result = Outcome(
        start["status"],
        [(name, value) for name, value in start["headers"] if name not in varies],
        {**answer, "ids": [id not in new and id for id in answer.get("ids", [])]},
        [said(message, new) for message in publisher.messages],
    )
    return result, "app" in scope


def said(message: Any, new: set[str]) -> Any:
    """A message without a new id, and without a new trace."""
    value = json.loads(message.value)
    read = record_headers.decode(message.headers)
    assert read.id == value["id"]
    trace = read.traceparent if read.traceparent == TRACEPARENT else len(read.traceparent)
    value["id"] = value["id"] not in new and value["id"]
    names = [name for name, _ in message.headers]
    return message.topic.name, message.key, value, names, read.type, read.schema, trace


async def call(app: ASGIApp, request: Request) -> tuple[Message, bytes, Scope]:
    """The start and the body of the answer, and the scope that the app leaves."""
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": request.body, "more_body": False}

    async def send(message: Message) -> None:
        sent.append(message)

    given = [*request.headers, ("content-length", str(len(request.body)))]
    scope: Scope = {
        "type": "http",
        "method": request.method,
        "path": request.path,
        "query_string": request.query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in given],
    }
    await app(scope, receive, send)
    return sent[0], b"".join(message["body"] for message in sent[1:]), scope


events = st.builds(lambda event, changed: {**event, **changed}, whole, fields)
ids = st.fixed_dictionaries(
    {}, optional={"id": st.text(min_size=7, max_size=66), "timestamp": st.datetimes()}
)
items = st.builds(lambda event, more: json.loads(json.dumps({**event, **more}, default=str)), events, ids)
lists = st.lists(items, max_size=6)
sent_at = st.sampled_from(["2026-11-23T11:00:00Z", "yesterday", None])
batches = st.one_of(
    st.fixed_dictionaries({"events": lists}, optional={"sent_at": sent_at}), st.just({"sent_at": None})
)
texts = st.one_of(
    st.binary(max_size=40),
    st.builds(lambda value: json.dumps(value).encode(), st.one_of(items, lists, batches)),
    st.builds(lambda values: b"\n".join(json.dumps(v).encode() for v in values), lists),
    st.builds(lambda value, end: json.dumps(value).encode()[:-end], items, st.integers(1, 9)),
    st.just(json.dumps([{**VIEW, "title": "\x00\ud83d", "url": "x" * 4_000}]).encode()),
)
heads = st.lists(
    st.sampled_from(
        [
            *BEARER,
            ("authorization", f"bearer {SECRET}"),
            ("authorization", f"Bearer  {PUBLIC} "),
            ("authorization", "Bearer sbsk_other"),
            ("authorization", "Basic eA=="),
            ("authorization", ""),
            ("content-type", "application/json"),
            ("content-type", "text/plain;charset=UTF-8"),
            ("content-type", "Application/X-NDJSON"),
            ("content-encoding", "gzip"),
            ("content-encoding", "identity"),
            ("traceparent", TRACEPARENT),
            ("traceparent", TRACEPARENT + "\xe9"),
            ("origin", "https://shop.example.com"),
        ]
    ),
    max_size=4,
)
requests = st.builds(
    Request,
    texts,
    st.sampled_from(["/v1/events", "/error-tracking"]),
    st.sampled_from(["", "", QUERY, f"key={SECRET}", f"{QUERY}&key=x", "key=%73bpk_public", "key=other"]),
    st.one_of(st.just(BEARER), heads),
    st.sampled_from(["POST", "POST", "POST", "PUT"]),
)


@hypothesis_settings(max_examples=300)
@example(Request(b"nonsense", headers=[*BEARER, ("content-type", "Application/X-NDJSON")]), False)
@example(Request(b"nonsense", headers=[*BEARER, ("content-encoding", "gzip")]), False)
@example(Request(b"{}", query=QUERY, headers=[("authorization", "Bearer sbsk_other")]), False)
@given(requests, st.booleans())
async def test_hot_and_cold_say_and_publish_the_same(request: Request, away: bool) -> None:
    hot, _ = await outcome(request, hot=True, away=away)
    cold, seen = await outcome(request, hot=False, away=away)
    assert seen
    assert hot == cold


@pytest.mark.parametrize(
    "request_",
    [
        Request(json.dumps(VIEW).encode()),
        Request(json.dumps([VIEW] * 5).encode(), headers=[*BEARER, ("content-type", "application/json")]),
        Request(json.dumps([VIEW, {}]).encode()),
        Request(
            json.dumps({"events": [VIEW]}).encode(),
            "/error-tracking",
            QUERY,
            [("content-type", "text/plain")],
        ),
        Request(b'{"type": "zzz"}'),
        Request(
            json.dumps(VIEW).encode(),
            headers=[*BEARER, ("traceparent", TRACEPARENT), ("origin", "https://a")],
        ),
    ],
)
async def test_what_producers_usually_send_is_not_seen_by_fastapi(request_: Request) -> None:
    _, seen = await outcome(request_, hot=True)
    assert not seen
