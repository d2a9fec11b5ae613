"""Bodies become items: arrays, lines and single objects, with the bad ones set aside."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Struct

from services.ingest.items import ITEM_BYTES_MAX, NESTING_MAX, Flaw, Items, Reader, clean, require_flat
from shared.errors import Malformed, TooLarge


class Fruit(Struct):
    name: str
    more: Any = None


FRUITS: Reader[Fruit] = Reader(Fruit, lambda fruit: require_flat(fruit.more))
GOOD = b'{"name": "pear"}'
#: Each is a JSON text, so that it can be one item of an array.
BAD = {
    b"{}": Flaw.SCHEMA,
    b"7": Flaw.SCHEMA,
    b'"pear"': Flaw.SCHEMA,
    b'{"name": null}': Flaw.SCHEMA,
    b'{"name": "' + b"x" * ITEM_BYTES_MAX + b'"}': Flaw.SIZE,
    b'{"name": "x", "more": ' + b"[" * (NESTING_MAX + 2) + b"]" * (NESTING_MAX + 2) + b"}": Flaw.NESTING,
}
mixtures = st.lists(st.sampled_from([GOOD, *BAD]), min_size=1, max_size=8)


def read(body: bytes, *, lines: bool = False, items_max: int = 1000) -> Items[Fruit]:
    return FRUITS.read(clean(body), lines=lines, items_max=items_max)


def expect_split(items: Items[Fruit], texts: list[bytes]) -> None:
    assert [index for index, _ in items.good] == [i for i, text in enumerate(texts) if text == GOOD]
    bad = {i: BAD[text] for i, text in enumerate(texts) if text != GOOD}
    assert {rejection.index: rejection.flaw for rejection in items.bad} == bad


@given(mixtures)
def test_an_array_keeps_its_good_items_and_lists_the_bad_ones(texts: list[bytes]) -> None:
    expect_split(read(b"[" + b",".join(texts) + b"]"), texts)


@given(mixtures)
def test_lines_keep_their_good_items_and_list_the_bad_ones(texts: list[bytes]) -> None:
    expect_split(read(b"\r\n".join(texts) + b"\n\n", lines=True), texts)


def test_lines_are_recognized_without_their_content_type() -> None:
    items = read(GOOD + b"\n{}\nnot json\n" + GOOD)
    assert [index for index, _ in items.good] == [0, 3]
    assert [(bad.index, bad.flaw) for bad in items.bad] == [(1, Flaw.SCHEMA), (2, Flaw.JSON)]


def test_an_object_over_several_lines_is_one_item() -> None:
    items = read(json.dumps({"name": "pear", "more": [1, 2]}, indent=2).encode() + b"\n")
    assert items.alone
    assert items.good == [(0, Fruit("pear", [1, 2]))]


@pytest.mark.parametrize(
    "body", [b'[{"name": "pear"}', b"[NaN]", b"[1,]", b"[" * 100_000, b'[{"name": "\\x"}]']
)
def test_an_array_that_is_no_json_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed):
        read(body)


@pytest.mark.parametrize(
    "body", [b"", b"nonsense", b"NaN", b'{"name": "pear"', b'{"name": NaN}', b'{"a":' * 10_000]
)
def test_a_text_that_is_no_json_is_a_bad_item(body: bytes) -> None:
    items = read(body)
    assert items.good == []
    assert items.bad[0].flaw in (Flaw.JSON, Flaw.NESTING)


@pytest.mark.parametrize("lines", [False, True])
def test_too_many_items_are_refused_whether_good_or_bad(lines: bool) -> None:
    for text in (GOOD, b"{}"):
        texts = [text] * 4
        body = b"\n".join(texts) if lines else b"[" + b",".join(texts) + b"]"
        with pytest.raises(TooLarge, match="4 items"):
            read(body, lines=lines, items_max=3)


def test_a_reason_does_not_repeat_all_that_was_sent() -> None:
    reader: Reader[Fruit] = Reader(Fruit, lambda _: None)
    items = reader.read(b'{"name": ' + b"[" * 10 + b"]" * 10 + b"}", lines=False, items_max=1)
    assert len(items.bad[0].reason) <= 300


@given(st.text(alphabet=st.sampled_from('a\\"u0\x00\ud800\udbff\udc00\udfff😀\n'), max_size=12))
def test_clean_replaces_nul_and_half_pairs_and_nothing_else(text: str) -> None:
    # What a pair spells is one character, to JSON as to Python's UTF-16; halves that are left over are replaced.
    wanted = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace").replace("\x00", "\ufffd")
    assert json.loads(clean(json.dumps(text).encode())) == wanted


@pytest.mark.parametrize("body", [b"\xff", b'{"name": "\xc3"}', b"\xed\xa0\x80", b"\xff\xfe{\x00}\x00"])
def test_a_body_that_is_not_utf8_is_malformed(body: bytes) -> None:
    with pytest.raises(Malformed, match="not UTF-8"):
        clean(body)
