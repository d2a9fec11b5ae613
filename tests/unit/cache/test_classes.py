"""Keys, and which entries a change concerns."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.cache.classes import CLASSES, Key, changed, parse, tag_surrogates
from shared.contracts.cache import CACHE_KEY_PATTERN, Change
from shared.errors import Invalid, NotFound

# few and short names, so that keys and changes meet often
part = st.sampled_from(["1", "2", "all"])
entity = st.sampled_from(["technicians", "properties"])
key_text = st.builds(
    lambda name, parts: ":".join([name, *parts]), entity, st.lists(part, min_size=1, max_size=3)
)
tag = st.one_of(entity, st.builds(lambda name, one: f"{name}:{one}", entity, part))


def test_the_classes_live_as_long_as_the_contract_says() -> None:
    assert {name: row.ttl_s for name, row in CLASSES.items()} == {
        "api_responses": 300,
        "technicians": 1800,
        "properties": 600,
        "maintenance_requests": 120,
        "categories": 3600,
    }


@given(st.text(max_size=40) | st.from_regex(CACHE_KEY_PATTERN))
def test_a_key_is_accepted_exactly_when_it_follows_the_grammar_and_its_class_is_known(text: str) -> None:
    try:
        key = parse(text)
    except NotFound:
        assert text.partition(":")[0] not in CLASSES
    except Invalid:
        follows = re.fullmatch(CACHE_KEY_PATTERN, text) is not None
        assert not follows or len(text.partition(":")[2]) > 200
    else:
        assert key.text == text
        assert key.cache_class is CLASSES[text.partition(":")[0]]


@pytest.mark.parametrize(
    "text", ["technicians", "technicians:", "technicians:*", "technicians:a\n", "Technicians:1", ""]
)
def test_what_is_no_key_is_refused(text: str) -> None:
    with pytest.raises(Invalid):
        parse(text)


def concerns(change: Change, key: str, tags: list[str]) -> bool:
    """What `changed` promises, said with the strings themselves."""
    if change.pattern is not None and key.startswith(change.pattern.removesuffix("*")):
        return True
    if set(change.tags) & set(tags):
        return True
    if change.entity is None:
        return False
    if change.entity in tags:
        return True
    if change.key is None:
        return any(name.startswith(f"{change.entity}:") for name in (key, *tags))
    one = f"{change.entity}:{change.key}"
    return key == one or key.startswith(f"{one}:") or one in tags


@given(
    key=key_text,
    tags=st.lists(tag, max_size=3),
    change=st.one_of(
        st.builds(lambda text: Change(pattern=f"{text}:*"), st.one_of(entity, key_text)),
        st.builds(lambda tags: Change(tags=tags), st.lists(tag, min_size=1, max_size=2)),
        st.builds(lambda name: Change(entity=name), entity),
        st.builds(lambda text: Change(entity=text.partition(":")[0], key=text.partition(":")[2]), key_text),
    ),
)
def test_a_change_and_an_entry_share_a_name_exactly_when_the_change_concerns_it(
    key: str, tags: list[str], change: Change
) -> None:
    names = {*Key(key, CLASSES["technicians"]).surrogates, *tag_surrogates(tags)}
    assert bool(names & set(changed(change))) == concerns(change, key, tags)
