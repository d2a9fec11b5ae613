"""Which statement gives which key, and that a key is never part of it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cache.classes import CLASSES, parse
from services.cache.sources import SOURCES, query_of
from shared.contracts.cache import CACHE_KEY_PATTERN
from shared.errors import Invalid, NotFound


@pytest.mark.parametrize(
    ("text", "pattern", "parameters"),
    [
        ("technicians:available", "technicians:available", ()),
        ("technicians:7", "technicians:{id}", (7,)),
        ("technicians:skill:locks", "technicians:skill:{skill}", ("locks",)),
        ("properties:60:requests", "properties:{id}:requests", (60,)),
        ("maintenance_requests:999999999999999999", "maintenance_requests:{id}", (999999999999999999,)),
    ],
)
def test_a_key_finds_its_source(text: str, pattern: str, parameters: tuple[int | str, ...]) -> None:
    query = query_of(parse(text))
    assert query is not None
    assert (query.source.pattern, query.parameters) == (pattern, parameters)


@pytest.mark.parametrize(
    "text",
    [
        "api_responses:weather",
        "technicians:nobody",
        "technicians:007",  # one spelling a number: a change of 7 would not reach it
        "technicians:1234567890123456789",  # longer than a bigint
        "technicians:7:8",
        "technicians:-1",
    ],
)
def test_a_key_without_a_source_is_no_query(text: str) -> None:
    assert query_of(parse(text)) is None


@given(st.from_regex(CACHE_KEY_PATTERN))
def test_a_key_changes_no_statement(text: str) -> None:
    try:
        query = query_of(parse(text))
    except (Invalid, NotFound):
        return
    if query is not None:
        assert query.source in SOURCES


@pytest.mark.parametrize("source", SOURCES, ids=lambda source: source.pattern)
def test_a_source_is_of_a_known_class_and_binds_every_parameter(source: object) -> None:
    assert source in SOURCES
    row = SOURCES[SOURCES.index(source)]
    assert row.pattern.partition(":")[0] in CLASSES
    assert set(re.findall(r"\$\d+", row.sql)) == {f"${n + 1}" for n in range(row.pattern.count("{"))}
