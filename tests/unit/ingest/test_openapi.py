"""The OpenAPI document says what the decoder does."""

import json
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from jsonschema import Draft202012Validator

from services.ingest.accept import Acceptor
from services.ingest.app import create_app
from shared.clock import SystemClock
from shared.contracts.events import AnyEvent
from shared.errors import RequestError
from tests.unit.ingest.doubles import ARRIVAL, MemoryPublisher, settings

DOCUMENT = create_app(settings(), MemoryPublisher(), SystemClock()).openapi()
PRODUCING = ("/v1/events", "/error-tracking", "/v1/jobs", "/v1/changes")
ACCEPTOR = Acceptor(items_max=1000)

# NUL is refused wherever it is, which would need a pattern for every text of the schema; its 400 says so.
words = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=3)
values = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(10**18), 10**18),
    st.floats(allow_nan=False, allow_infinity=False),
    st.sampled_from(
        ["", "error", "metric", "page_view", "event", "mobile", "fatal", "x" * 8, "x" * 201, "x" * 513]
    ),
    st.lists(words, max_size=17),
    st.dictionaries(words, words | st.integers(0, 9), max_size=3),
)
# Times are left out: `date-time` is an annotation in JSON Schema, and a promise in the decoder.
NAMES = sorted({"unknown"}.union(*(event.__struct_fields__ for event in get_args(AnyEvent))) - {"timestamp"})
fields = st.dictionaries(st.sampled_from(["type", *NAMES]), values, max_size=5)
whole = st.sampled_from(
    [
        {"type": "error", "message": "m"},
        {"type": "metric", "name": "LCP", "value": 1},
        {"type": "page_view"},
        {"type": "event", "name": "n"},
    ]
)


def schema_of(path: str) -> dict[str, Any]:
    content = DOCUMENT["paths"][path]["post"]["requestBody"]["content"]["application/json"]
    return {**content["schema"], "components": DOCUMENT["components"]}


EVENTS = Draft202012Validator(schema_of("/v1/events"))


@given(whole, fields, st.booleans())
def test_the_schema_and_the_decoder_agree(
    event: dict[str, Any], changed: dict[str, Any], listed: bool
) -> None:
    body: Any = {**event, **changed}
    body = [body] if listed else body
    try:
        ACCEPTOR.events(json.dumps(body).encode(), ARRIVAL)
    except RequestError:
        accepted = False
    else:
        accepted = True
    assert accepted is EVENTS.is_valid(body)


BATCHES = Draft202012Validator(schema_of("/error-tracking"))
batches = st.fixed_dictionaries(
    {},
    optional={
        "events": st.one_of(
            st.builds(lambda event, changed: [{**event, **changed}], whole, fields),
            st.just([]),
            values,
            whole,
        ),
        "sent_at": st.sampled_from([None, "2026-11-23T11:00:00Z", 1.5, []]),
        "more": values,
    },
)


@given(st.one_of(batches, values))
def test_the_schema_and_the_decoder_agree_on_batches(body: Any) -> None:
    try:
        ACCEPTOR.event_batch(json.dumps(body).encode(), ARRIVAL)
    except RequestError:
        accepted = False
    else:
        accepted = True
    assert accepted is BATCHES.is_valid(body)


@pytest.mark.parametrize("path", PRODUCING)
def test_every_answer_is_documented(path: str) -> None:
    operation = DOCUMENT["paths"][path]["post"]
    documented = set(operation["responses"])
    wanted = "202 400 401 403 405 408 413 415 422 429 431 500 503"
    assert documented == set(wanted.split())
    assert all(
        "application/problem+json" in operation["responses"][s]["content"] for s in documented - {"202"}
    )
    Draft202012Validator.check_schema(schema_of(path))


def test_every_reference_leads_somewhere() -> None:
    text = json.dumps(DOCUMENT)
    named = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert named <= set(DOCUMENT["components"]["schemas"])


def test_operations_have_names_of_their_own() -> None:
    names = [op["operationId"] for path in DOCUMENT["paths"].values() for op in path.values()]
    assert len(names) == len(set(names))
