"""One record as bytes in a file, and the way back past bytes that are none any more.

    frame = magic (4 bytes) | length of the body | CRC-32 of the body | body
    body  = a msgpack array: topic, key, value, headers, timestamp in milliseconds

Numbers are 32 bits, little endian. The magic carries the format's version, and is where reading goes on after bytes
that are no frame.
"""

import struct
import zlib
from collections.abc import Iterator
from typing import NamedTuple

import msgspec

from shared.contracts.topics import RECORD_BYTES_MAX

MAGIC = b"SBX\x01"
HEAD = struct.Struct("<4sII")
#: Longer bodies are damaged lengths: a record that Kafka takes, with room for what the frame adds.
BODY_BYTES_MAX = 2 * RECORD_BYTES_MAX


class Spooled(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """A record as it waits for Kafka."""

    #: The topic's name; its partition is chosen when Kafka is there to say how many there are.
    topic: str
    key: bytes
    value: bytes
    headers: list[tuple[str, bytes]]
    #: When it was spooled, in milliseconds since 1970: the record's timestamp on Kafka.
    timestamp_ms: int


class Found(NamedTuple):
    """What reading met next, and where it ends; no record where bytes were damaged."""

    record: Spooled | None
    end: int


_ENCODER = msgspec.msgpack.Encoder()
_DECODER = msgspec.msgpack.Decoder(Spooled)


def encode(record: Spooled) -> bytes:
    """The frame of a record."""
    body = _ENCODER.encode(record)
    return HEAD.pack(MAGIC, len(body), zlib.crc32(body)) + body


def read(buffer: bytes) -> Iterator[Found]:
    """Every record of `buffer`, which starts at a frame, and every damaged stretch between two of them.

    It ends after the last record: what follows is either nothing, or a tail that was torn off while it was written.
    """
    at = 0
    while at < len(buffer):
        found = _frame(buffer, at)
        if found is None:
            found = _next(buffer, at)
            if found is None:
                return
        yield found
        at = found.end


def _frame(buffer: bytes, at: int) -> Found | None:
    """The frame that begins at `at`; None when there is none, or only a part of it."""
    start = at + HEAD.size
    if start > len(buffer):
        return None
    magic, length, checksum = HEAD.unpack_from(buffer, at)
    end = start + length
    if magic != MAGIC or length > BODY_BYTES_MAX or end > len(buffer):
        return None
    body = buffer[start:end]
    if zlib.crc32(body) != checksum:
        return None
    try:
        return Found(_DECODER.decode(body), end)
    except msgspec.DecodeError:  # it was written as it is, by something else than this version
        return None


def _next(buffer: bytes, at: int) -> Found | None:
    """The damaged stretch from `at` to the next whole frame; None when no frame follows."""
    candidate = buffer.find(MAGIC, at + 1)
    while candidate != -1:
        if _frame(buffer, candidate) is not None:
            return Found(None, candidate)
        candidate = buffer.find(MAGIC, candidate + 1)
    return None
