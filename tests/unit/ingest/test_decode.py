"""Content-Encoding: what was compressed comes back, and nothing unpacks beyond the limit."""

import contextlib
import gzip
import tracemalloc
import zlib
from collections.abc import Callable

import brotli
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from services.ingest.decode import ENCODINGS, decode
from shared.errors import Malformed, RequestError, TooLarge, UnsupportedMedia

BYTES_MAX = 10_000


def raw_deflate(data: bytes) -> bytes:
    stream = zlib.compressobj(wbits=-15)
    return stream.compress(data) + stream.flush()


def zstd_without_size(data: bytes) -> bytes:
    stream = zstandard.ZstdCompressor().compressobj()
    return stream.compress(data) + stream.flush()


COMPRESSORS: list[tuple[str, Callable[[bytes], bytes]]] = [
    ("gzip", gzip.compress),
    ("x-gzip", gzip.compress),
    ("deflate", zlib.compress),
    ("deflate", raw_deflate),
    ("br", brotli.compress),
    ("zstd", zstandard.compress),
    ("zstd", zstd_without_size),
]
each_compressor = pytest.mark.parametrize(("encoding", "compress"), COMPRESSORS)


@each_compressor
@given(data=st.binary(max_size=BYTES_MAX))
def test_what_was_compressed_comes_back(
    encoding: str, compress: Callable[[bytes], bytes], data: bytes
) -> None:
    assert decode(compress(data), encoding.upper(), bytes_max=BYTES_MAX) == data


@each_compressor
def test_a_body_of_exactly_the_limit_passes_and_one_byte_more_does_not(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    assert len(decode(compress(b"x" * BYTES_MAX), encoding, bytes_max=BYTES_MAX)) == BYTES_MAX
    with pytest.raises(TooLarge):
        decode(compress(b"x" * (BYTES_MAX + 1)), encoding, bytes_max=BYTES_MAX)


@each_compressor
def test_a_bomb_stops_at_the_limit(encoding: str, compress: Callable[[bytes], bytes]) -> None:
    bomb = compress(bytes(50_000_000))
    tracemalloc.start()
    with pytest.raises(TooLarge):
        decode(bomb, encoding, bytes_max=BYTES_MAX)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1_000_000


@each_compressor
def test_a_stream_that_is_cut_off_or_followed_by_something_is_malformed(
    encoding: str, compress: Callable[[bytes], bytes]
) -> None:
    stream = compress(b'{"type": "page_view"}' * 20)
    for broken in (stream[:-1], stream[: len(stream) // 2], stream + b"more", stream + stream, b""):
        with pytest.raises(Malformed):
            decode(broken, encoding, bytes_max=BYTES_MAX)


@given(encoding=st.sampled_from(sorted(ENCODINGS)), data=st.binary(max_size=200))
def test_any_bytes_are_decoded_or_refused(encoding: str, data: bytes) -> None:
    with contextlib.suppress(RequestError):
        decode(data, encoding, bytes_max=BYTES_MAX)


@pytest.mark.parametrize("encoding", ["", "identity", " Identity "])
def test_no_encoding_changes_nothing(encoding: str) -> None:
    assert decode(b"as it is", encoding, bytes_max=BYTES_MAX) == b"as it is"


@pytest.mark.parametrize("encoding", ["lzma", "gzip, br", "*"])
def test_an_unknown_encoding_is_refused_with_the_known_ones(encoding: str) -> None:
    with pytest.raises(UnsupportedMedia, match="gzip, x-gzip, deflate, br, zstd"):
        decode(b"", encoding, bytes_max=BYTES_MAX)
