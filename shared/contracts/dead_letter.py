"""Dead letters: a record that cannot be processed, its key and bytes untouched, with why and whence in headers.

The original headers are kept, so that a dead letter can be repaired and sent back as it came.
"""

from collections.abc import Iterable
from typing import NamedTuple

from shared.contracts.headers import Headers

_PREFIX = "dead_letter_"


class Origin(NamedTuple):
    """Where a record stood."""

    topic: str
    partition: int
    offset: int
    timestamp_ms: int


def headers(
    original: Iterable[tuple[str, bytes]], *, origin: Origin, reason: str, detail: str, service: str
) -> Headers:
    """The dead letter's headers.

    `reason` is a word of a closed set (`empty`, `json`, `schema`, `data`), `detail` a sentence (cut at 1000
    characters), `service` whoever gave up.
    """
    added = {
        "reason": reason,
        "detail": detail[:1000],
        "service": service,
        "topic": origin.topic,
        "partition": str(origin.partition),
        "offset": str(origin.offset),
        "timestamp_ms": str(origin.timestamp_ms),
    }
    kept = [(name, value) for name, value in original if not name.startswith(_PREFIX)]
    return kept + [(_PREFIX + name, value.encode(errors="replace")) for name, value in added.items()]
