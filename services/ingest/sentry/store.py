"""The body of `/store/`, which SDKs used before envelopes: JSON, or base64 of it, deflated or not (raven)."""

import base64
import binascii
import zlib

from shared.errors import Malformed, TooLarge


def unwrap(body: bytes, *, bytes_max: int) -> bytes:
    """The event's JSON. Raises Malformed (400), TooLarge (413) when it would unpack to more than `bytes_max`."""
    text = body.strip()
    if text[:1] == b"{":
        return text
    try:
        packed = base64.b64decode(text, validate=True)
    except binascii.Error as error:
        raise Malformed("The body is neither JSON nor base64.") from error
    if packed.strip()[:1] == b"{":
        return packed
    stream = zlib.decompressobj()
    try:
        unpacked = stream.decompress(packed, bytes_max + 1)
    except zlib.error as error:
        raise Malformed(f"The body is base64, and neither of JSON nor of a zlib stream: {error}.") from error
    if len(unpacked) > bytes_max:
        raise TooLarge(f"The body unpacks to more than {bytes_max} bytes.")
    return unpacked
