"""The generated documents: up to date, valid, and about every topic."""

import json
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator

from docs.generate import __main__ as command
from docs.generate import environment, record_headers, schemas
from shared.contracts.topics import TOPICS

DOCUMENT: dict[str, Any] = json.loads((command.DOCS / "asyncapi.json").read_text())
SCHEMAS = sorted((command.DOCS / "schemas").glob("*.json"))


def test_documents_are_up_to_date(capsys: pytest.CaptureFixture[str]) -> None:
    status = command.main(["--check"])
    assert status == 0, capsys.readouterr().err


def test_a_changed_an_absent_and_a_left_over_file_are_stale(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(command, "DOCS", tmp_path)
    (tmp_path / "schemas").mkdir()
    texts = {tmp_path / name: "new\n" for name in ("same", "changed", "absent")}
    (tmp_path / "same").write_text("new\n")
    (tmp_path / "changed").write_text("old\n")
    (tmp_path / "schemas" / "signalbox.gone.v1.json").write_text("{}\n")
    stale = [path.name for path in command.stale(texts)]
    assert stale == ["changed", "absent", "signalbox.gone.v1.json"]


@pytest.mark.parametrize("path", SCHEMAS, ids=lambda path: path.stem)
def test_schemas_are_valid_and_named_as_their_topic_says(path: Path) -> None:
    schema = json.loads(path.read_text())
    Draft202012Validator.check_schema(schema)
    assert schema["$schema"] == schemas.DIALECT
    assert schema["$id"] == TOPICS[path.stem].schema
    assert all(name.isidentifier() and not name.endswith("_") for name in schema["$defs"])


def test_every_reference_in_the_asyncapi_document_leads_somewhere() -> None:
    for reference in _references(DOCUMENT):
        target: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            target = target[part]


def test_channels_are_the_topic_table() -> None:
    assert DOCUMENT["asyncapi"] == "3.0.0"
    assert set(DOCUMENT["channels"]) == set(TOPICS)
    for name, channel in DOCUMENT["channels"].items():
        kafka = channel["bindings"]["kafka"]
        assert channel["address"] == name
        assert kafka["partitions"] == TOPICS[name].partitions
        assert kafka["topicConfiguration"]["cleanup.policy"] == [TOPICS[name].cleanup.value]


def test_operations_are_who_writes_and_reads() -> None:
    described = {
        (operation["action"], operation["tags"][0]["name"], operation["channel"]["$ref"].rpartition("/")[2])
        for operation in DOCUMENT["operations"].values()
    }
    sent = {("send", service, topic.name) for topic in TOPICS.values() for service in topic.producers}
    received = {("receive", service, topic.name) for topic in TOPICS.values() for service in topic.consumers}
    assert described == sent | received


def test_messages_have_headers_and_examples_that_their_payload_accepts() -> None:
    messages = DOCUMENT["components"]["messages"]
    assert set(messages) == {"DeadLetter", *(schemas.name_of(payload) for payload in schemas.payloads())}
    components = {"components": DOCUMENT["components"]}
    for name, message in messages.items():
        if name == "DeadLetter":
            continue
        assert message["headers"]["allOf"][0] == {"$ref": "#/components/schemas/RecordHeaders"}
        assert message["examples"]
        validator = Draft202012Validator({**components, **message["payload"]})
        for example in message["examples"]:
            validator.validate(example["payload"])


def test_header_schemas_name_what_is_written() -> None:
    components = DOCUMENT["components"]["schemas"]
    assert set(components["RecordHeaders"]["properties"]) == set(record_headers.of_records())
    assert set(components["DeadLetterHeaders"]["required"]) == set(record_headers.of_dead_letters())


def test_the_reference_names_every_topic_and_variable() -> None:
    page = (command.DOCS / "reference.md").read_text()
    variables = {variable.name for group in environment.groups() for variable in group.variables}
    assert [name for name in {*TOPICS, *variables} if f"`{name}`" not in page] == []


def _references(value: Any) -> list[str]:
    if isinstance(value, dict):
        own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
        return own + [reference for item in value.values() for reference in _references(item)]
    if isinstance(value, list):
        return [reference for item in value for reference in _references(item)]
    return []
