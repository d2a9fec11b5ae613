"""Partitions agree with those of other producers."""

import pytest
from aiokafka.partitioner import murmur2 as reference
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.partition import murmur2, partition_of


@given(st.binary(max_size=100))
def test_the_hash_is_that_of_other_clients(key: bytes) -> None:
    assert murmur2(key) == reference(key)


@pytest.mark.parametrize(
    ("key", "hash"),  # from UtilsTest.java of Apache Kafka
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536)],
)
def test_the_hash_is_that_of_java(key: bytes, hash: int) -> None:
    assert murmur2(key) == hash % 2**32


@given(st.binary(max_size=40), st.integers(1, 64))
def test_a_key_has_one_partition_of_those_there_are(key: bytes, partitions: int) -> None:
    assert partition_of(key, partitions) == (reference(key) & 0x7FFFFFFF) % partitions
