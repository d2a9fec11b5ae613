"""Ids for what has none: derived from its content, since exporters send a request again that was not answered."""

import hashlib
from typing import Any

import msgspec
from google.protobuf.message import Message

from services.ingest.otlp.attributes import Origin
from shared import ids

_ENCODER = msgspec.json.Encoder()


class Identities:
    """The ids of one request. Twins in it are told apart by their order, which stays the same in a second try."""

    def __init__(self) -> None:
        self._seen: dict[bytes, int] = {}

    def of(self, origin: Origin, item: Any, *more: str) -> str:
        """The id of an item, of either form, that `origin` reported; `more` is what it does not say itself."""
        content = (
            item.SerializeToString(deterministic=True) if isinstance(item, Message) else _ENCODER.encode(item)
        )
        digest = hashlib.blake2b(
            b"\0".join((origin.identity, content, *(part.encode() for part in more))), digest_size=16
        )
        key = digest.digest()
        twin = self._seen[key] = self._seen.get(key, -1) + 1
        return ids.derived_id("otlp", digest.hexdigest(), str(twin))
