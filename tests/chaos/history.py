"""The history: what producers sent, and what they were answered. A line of JSON for each request, once it is over.

Whatever is in it was sent, and nothing else was: a row in the database that it does not know has been invented.
Times are seconds of the system's monotonic clock, which all processes of a machine share.
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import msgspec
from msgspec import Struct

Protocol = Literal["native", "sentry"]
EventType = Literal["error", "metric", "page_view", "event"]


class Item(Struct, frozen=True, array_like=True):
    """One event of a request."""

    type: EventType
    #: As `bare_id` spells it.
    id: str


class Attempt(Struct, frozen=True):
    """One time that a request was sent."""

    began: float
    ended: float
    #: 0 when there was no answer.
    status: int
    #: Why there was none; empty when there was one.
    error: str = ""

    @property
    def is_acknowledged(self) -> bool:
        return 200 <= self.status < 300


class Request(Struct, frozen=True):
    """A request, with all its attempts: they carry the same ids."""

    protocol: Protocol
    items: list[Item]
    #: At least one.
    attempts: list[Attempt]

    @property
    def is_acknowledged(self) -> bool:
        return self.attempts[-1].is_acknowledged


class Writer:
    """Writes a history."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("ab")

    def add(self, request: Request) -> None:
        self._file.write(_ENCODER.encode(request) + b"\n")

    def close(self) -> None:
        """Returning means that everything is in the file."""
        self._file.close()


def read(path: Path) -> Iterator[Request]:
    """All requests of a history. Raises msgspec.DecodeError for a line that is none."""
    with path.open("rb") as file:
        for line in file:
            yield _DECODER.decode(line)


def bare_id(id: str) -> str:
    """One spelling for the ids of every protocol: 32 hexadecimal digits."""
    return id.replace("-", "").lower()


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Request)
