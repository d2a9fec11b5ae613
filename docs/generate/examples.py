"""The example messages of `shared/contracts/examples/<topic>/<case>.json`."""

from pathlib import Path
from typing import NamedTuple

from shared.contracts.topics import TOPICS, Topic

FOLDER = Path(__file__).resolve().parents[2] / "shared" / "contracts" / "examples"


class Example(NamedTuple):
    """One example: a record's value, as its bytes would be but for white space."""

    topic: Topic
    case: str
    value: bytes


def every() -> list[Example]:
    """All examples, in the order of the topic table, then by case."""
    return [
        Example(topic, path.stem, path.read_bytes())
        for topic in TOPICS.values()
        for path in sorted((FOLDER / topic.name).glob("*.json"))
    ]
