"""Requests and answers of OTLP/HTTP, in protobuf or in JSON; an answer has the encoding of its request."""

from enum import StrEnum
from http import HTTPStatus
from typing import Any, Generic, NamedTuple, TypeVar, cast

import msgspec
from fastapi import Request, Response
from google.protobuf.message import DecodeError, Message
from google.rpc.status_pb2 import Status
from msgspec import Struct

from services.ingest.items import clean
from shared.errors import Malformed, RequestError, TooLarge, UnsupportedMedia

R = TypeVar("R", bound=Message)


class Encoding(StrEnum):
    """What a body is written in; the values are media types."""

    PROTOBUF = "application/x-protobuf"
    JSON = "application/json"


class Signal(NamedTuple, Generic[R]):
    """One kind of telemetry: how its requests are read, and its answers written."""

    name: str
    #: The fields that lead from a request to its items: resources, scopes, items, and what an item holds many of.
    path: tuple[str, ...]
    request: type[R]
    #: The same in JSON: of a type from `json_form`, with the same attributes.
    json: msgspec.json.Decoder[Struct]
    response: type[Message]
    #: The field of a partial success that counts what was rejected.
    rejected: str


#: google.rpc.Code of each status that is answered (google/rpc/code.proto).
_CODES = {
    HTTPStatus.BAD_REQUEST: 3,  # INVALID_ARGUMENT
    HTTPStatus.UNSUPPORTED_MEDIA_TYPE: 3,
    HTTPStatus.UNAUTHORIZED: 16,  # UNAUTHENTICATED
    HTTPStatus.FORBIDDEN: 7,  # PERMISSION_DENIED
    HTTPStatus.REQUEST_TIMEOUT: 4,  # DEADLINE_EXCEEDED
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: 8,  # RESOURCE_EXHAUSTED
    HTTPStatus.TOO_MANY_REQUESTS: 8,
    HTTPStatus.SERVICE_UNAVAILABLE: 14,  # UNAVAILABLE
}
_UNKNOWN = 2
#: Of one request; exporters send 512 items at a time unless they are told otherwise.
PARTS_MAX = 20_000


def encoding_of(request: Request) -> Encoding:
    """What the request's body is written in. Raises UnsupportedMedia (415)."""
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        return Encoding(media_type)
    except ValueError:
        raise UnsupportedMedia(
            f"Content-Type {media_type[:64]!r} is not read here; known are {', '.join(Encoding)}."
        ) from None


def decode(signal: Signal[R], body: bytes, encoding: Encoding) -> R:
    """The request. Raises Malformed (400), TooLarge (413) above PARTS_MAX parts, which may have two bytes each."""
    try:
        if encoding is Encoding.PROTOBUF:
            request = signal.request.FromString(body)
        else:
            request = cast(R, signal.json.decode(clean(body)))
    except (DecodeError, msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise Malformed(f"The body is no Export{signal.name}ServiceRequest: {error}.") from error
    if _parts(request, signal.path, PARTS_MAX) > PARTS_MAX:
        raise TooLarge(f"The request has more than {PARTS_MAX} resources, scopes and items.")
    return request


def answer(signal: Signal[R], encoding: Encoding, *, rejected: int, reason: str) -> Response:
    """200; with what was rejected and why, if anything was. Clients do not send that again."""
    if encoding is Encoding.PROTOBUF:
        response = signal.response()
        if rejected:
            setattr(response.partial_success, signal.rejected, rejected)  # type: ignore[attr-defined]
            response.partial_success.error_message = reason  # type: ignore[attr-defined]
        return Response(response.SerializeToString(), media_type=encoding)
    head, *tail = signal.rejected.split("_")
    name = head + "".join(part.title() for part in tail)
    partial = {"partialSuccess": {name: str(rejected), "errorMessage": reason}} if rejected else {}
    return Response(msgspec.json.encode(partial), media_type=encoding)


def _parts(holder: Any, path: tuple[str, ...], parts_max: int) -> int:
    """How many parts there are along a path, counted no further than just above `parts_max`."""
    if path[0] == "data_points":  # of whatever instrument a metric is
        kind = holder.WhichOneof("data")
        items = () if kind is None else getattr(holder, kind).data_points
    else:
        items = getattr(holder, path[0])
    total = len(items)
    if len(path) > 1:
        for item in items:
            if total > parts_max:
                break
            total += _parts(item, path[1:], parts_max - total)
    return total


def refusal(error: RequestError, encoding: Encoding) -> Response:
    """The error's status, with google.rpc.Status as its body; clients come back after 429 and 503."""
    code = _CODES.get(error.status, _UNKNOWN)
    headers = dict(error.headers)
    if error.retry_after_s is not None:
        headers["Retry-After"] = str(error.retry_after_s)
    if encoding is Encoding.PROTOBUF:
        body = Status(code=code, message=error.detail).SerializeToString()
    else:
        body = msgspec.json.encode({"code": code, "message": error.detail})
    return Response(body, error.status, headers, media_type=encoding)
