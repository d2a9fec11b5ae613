"""`python -m docs.generate` writes the generated documents; with `--check` it only says which ones are stale.

`make docs` runs it. Exit status: 0 written or up to date, 1 stale (with `--check`), 2 bad usage.
"""

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from docs.generate import asyncapi, reference, schemas
from shared.contracts.topics import TOPICS

DOCS = Path(__file__).resolve().parents[1]
PROJECT = DOCS.parent


def documents() -> dict[Path, str]:
    """Every generated file's path and what belongs into it."""
    texts = {DOCS / "asyncapi.json": _json(asyncapi.document()), DOCS / "reference.md": reference.markdown()}
    for topic in TOPICS.values():
        if topic.payload is not None:
            texts[DOCS / "schemas" / f"{topic.name}.json"] = _json(schemas.of_topic(topic))
    return texts


def stale(texts: dict[Path, str]) -> list[Path]:
    """The generated files that are absent, differ from `texts`, or describe a topic that is gone."""
    differ = [path for path, text in texts.items() if not path.is_file() or path.read_text() != text]
    gone = [path for path in sorted((DOCS / "schemas").glob("*.json")) if path not in texts]
    return differ + gone


def main(arguments: Sequence[str]) -> int:
    """Write the documents, or check them; returns the exit status."""
    if list(arguments) not in ([], ["--check"]):
        print("usage: python -m docs.generate [--check]", file=sys.stderr)  # noqa: T201 - a command's usage
        return 2
    texts = documents()
    paths = stale(texts)
    if arguments:
        for path in paths:
            print(f"{path.relative_to(PROJECT)} is stale: run `make docs`", file=sys.stderr)  # noqa: T201
        return 1 if paths else 0
    for path in paths:
        if path in texts:
            path.parent.mkdir(exist_ok=True)
            path.write_text(texts[path])
        else:
            path.unlink()
    print(f"docs: {len(paths)} of {len(texts)} files changed")  # noqa: T201
    return 0


def _json(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
