"""Values at the edges of the contracts."""

import msgspec
import pytest

from shared.contracts.cache import Change
from shared.contracts.jobs import JobHint
from shared.ids import derived_id, new_id


@pytest.mark.parametrize("id", ["", "x", new_id() + "\n", new_id()[:-1]])
def test_a_job_id_is_a_uuid_and_nothing_more(id: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"id": id, "type": "t", "priority": 5}, JobHint)


@pytest.mark.parametrize(
    "pattern", ["*", "a*", "technicians:*\n", "technicians:a*b", "technicians:**", "Technicians:*"]
)
def test_a_pattern_is_a_prefix_that_ends_in_one_star(pattern: str) -> None:
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert({"pattern": pattern}, Change)


@pytest.mark.parametrize("pattern", ["technicians:*", "properties:42:*"])
def test_prefixes_are_patterns(pattern: str) -> None:
    assert msgspec.convert({"pattern": pattern}, Change).pattern == pattern


def test_ids_are_new_or_derived() -> None:
    assert new_id() < new_id()
    assert derived_id("job", "1", "key") == derived_id("job", "1", "key") != derived_id("job", "1k", "ey")
