"""Content-Encoding: a body's bytes as the client had them, decompressed no further than a limit.

A few hundred bytes can unpack to gigabytes, so every decoder here is asked for at most one byte more than the
limit, and stops there. A body is one compressed stream: bytes after its end are an error, because unpacking
thousands of tiny streams in a row is another way to keep a server busy.
"""

import zlib
from collections.abc import Callable

import brotli
import zstandard

from shared.errors import Malformed, TooLarge, UnsupportedMedia

_GZIP_WINDOW = 31  # zlib's way to say: 32 KiB window, gzip header
_ZLIB_WINDOW = 15
_RAW_WINDOW = -15
_ZSTD_WINDOW_BYTES_MAX = 8 * 1024 * 1024  # what RFC 8878 (3.1.1.1.2) asks decoders to support, and no more


class _Broken(Exception):
    """The stream is damaged, cut off, or followed by something else; the text says which."""


def decode(body: bytes, encoding: str, *, bytes_max: int) -> bytes:
    """Undo `encoding`, the value of a Content-Encoding header ("" and `identity` change nothing).

    Raises UnsupportedMedia (415) for an encoding that is not in ENCODINGS, Malformed (400) for a stream that is not
    what it says or is cut off, TooLarge (413) for one that would unpack to more than `bytes_max`.
    """
    name = encoding.strip().lower()
    if name in ("", "identity"):
        return body
    decoder = ENCODINGS.get(name)
    if decoder is None:
        known = ", ".join(ENCODINGS)
        raise UnsupportedMedia(f"Content-Encoding {name[:64]!r} is not read here; known are {known}.")
    try:
        text = decoder(body, bytes_max)
    except _Broken as error:
        raise Malformed(f"The body is not one {name} stream: {error}.") from error
    if len(text) > bytes_max:
        raise TooLarge(f"The body unpacks to more than {bytes_max} bytes.")
    return text


def _gzip(body: bytes, bytes_max: int) -> bytes:
    return _inflate(body, bytes_max, _GZIP_WINDOW)


def _deflate(body: bytes, bytes_max: int) -> bytes:
    """RFC 9110's deflate has a zlib header; enough clients leave it out that every server reads both.

    A zlib header is a multiple of 31 whose low nibble is 8 (RFC 1950).
    """
    has_header = len(body) > 1 and body[0] & 0x0F == 8 and int.from_bytes(body[:2]) % 31 == 0
    return _inflate(body, bytes_max, _ZLIB_WINDOW if has_header else _RAW_WINDOW)


def _inflate(body: bytes, bytes_max: int, window: int) -> bytes:
    stream = zlib.decompressobj(window)
    try:
        text = stream.decompress(body, bytes_max + 1)
    except zlib.error as error:
        raise _Broken(str(error)) from error
    if len(text) <= bytes_max:
        _require_end(ended=stream.eof, rest=stream.unused_data)
    return text


def _brotli(body: bytes, bytes_max: int) -> bytes:
    stream = brotli.Decompressor()
    try:
        text: bytes = stream.process(body, output_buffer_limit=bytes_max + 1)
    except brotli.error as error:
        raise _Broken(str(error)) from error
    if len(text) <= bytes_max:
        _require_end(ended=stream.is_finished(), rest=b"")
    return text


def _zstd(body: bytes, bytes_max: int) -> bytes:
    """The reader bounds what is unpacked, the object knows where a frame ends, and neither does both."""
    context = zstandard.ZstdDecompressor(max_window_size=_ZSTD_WINDOW_BYTES_MAX)
    try:
        text = context.stream_reader(body).read(bytes_max + 1)
        if len(text) <= bytes_max:
            frame = context.decompressobj()
            frame.decompress(body)
            _require_end(ended=frame.eof, rest=frame.unused_data)
    except zstandard.ZstdError as error:
        raise _Broken(str(error)) from error
    return text


def _require_end(*, ended: bool, rest: bytes) -> None:
    if not ended:
        raise _Broken("it is cut off")
    if rest:
        raise _Broken(f"{len(rest)} bytes follow its end")


#: What is read, by name.
ENCODINGS: dict[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gzip,
    "x-gzip": _gzip,
    "deflate": _deflate,
    "br": _brotli,
    "zstd": _zstd,
}
