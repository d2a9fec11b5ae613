"""Example messages: what a reader may rely on, in JSON that every later version must still decode."""

import json

import msgspec
import pytest
from jsonschema import Draft202012Validator

from docs.generate import examples, schemas
from docs.generate.examples import Example
from shared.contracts.topics import TOPICS, Topic

WITH_PAYLOAD = [topic for topic in TOPICS.values() if topic.payload is not None]

each_example = pytest.mark.parametrize(
    "example", examples.every(), ids=lambda example: f"{example.topic.name}/{example.case}"
)


@pytest.mark.parametrize("topic", WITH_PAYLOAD, ids=lambda topic: topic.name)
def test_every_topic_has_an_example(topic: Topic) -> None:
    assert [example for example in examples.every() if example.topic == topic]


def test_every_example_belongs_to_a_topic() -> None:
    assert {folder.name for folder in examples.FOLDER.iterdir()} == {topic.name for topic in WITH_PAYLOAD}


@each_example
def test_it_decodes_and_encodes_to_the_same_json(example: Example) -> None:
    """Also that no field of it is unknown to the type, since those would be dropped silently."""
    decoded = msgspec.json.decode(example.value, type=example.topic.payload)
    encoded = msgspec.json.encode(decoded)
    assert json.loads(encoded) == json.loads(example.value)
    assert msgspec.json.decode(encoded, type=example.topic.payload) == decoded


@each_example
def test_its_schema_accepts_it(example: Example) -> None:
    Draft202012Validator(schemas.of_topic(example.topic)).validate(json.loads(example.value))


@each_example
def test_its_schema_and_its_type_refuse_it_without_a_required_field(example: Example) -> None:
    value = json.loads(example.value)
    del value["id" if "id" in value else "project"]
    assert not Draft202012Validator(schemas.of_topic(example.topic)).is_valid(value)
    with pytest.raises(msgspec.ValidationError):
        msgspec.json.decode(json.dumps(value), type=example.topic.payload)


@each_example
def test_a_newer_writers_field_is_ignored(example: Example) -> None:
    value = {**json.loads(example.value), "added_later": {"by": "a newer version"}}
    newer = msgspec.json.decode(json.dumps(value), type=example.topic.payload)
    assert newer == msgspec.json.decode(example.value, type=example.topic.payload)
    assert Draft202012Validator(schemas.of_topic(example.topic)).is_valid(value)
