"""Records of the invalidation topic."""

import msgspec
import pytest

from services.cache.invalidation import decode
from shared.contracts.cache import Invalidation
from shared.errors import PoisonRecord

BASE = {"id": "1", "requested_at": "2026-01-01T00:00:00Z"}


def test_an_invalidation_is_read_and_what_is_unknown_in_it_ignored() -> None:
    value = msgspec.json.encode({**BASE, "entity": "technicians", "key": "7", "added_later": 1})
    invalidation = decode(value)
    assert isinstance(invalidation, Invalidation)
    assert (invalidation.entity, invalidation.key) == ("technicians", "7")


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "empty"),
        (b"", "empty"),
        (b"\xff\xfe", "json"),
        (b"{", "json"),
        (b'{"id":' + b"[" * 100_000, "schema"),
        (b'{"added_later":' + b"[" * 100_000, "json"),
        (b"[]", "schema"),
        (msgspec.json.encode({**BASE, "pattern": "*"}), "schema"),
        (msgspec.json.encode({**BASE, "entity": "a b"}), "schema"),
        (msgspec.json.encode({"entity": "technicians"}), "schema"),
        (msgspec.json.encode(BASE), "data"),
        (msgspec.json.encode({**BASE, "key": "7"}), "data"),
    ],
)
def test_a_poison_record_says_why(value: bytes | None, reason: str) -> None:
    with pytest.raises(PoisonRecord) as caught:
        decode(value)
    assert caught.value.reason == reason
