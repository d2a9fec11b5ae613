"""A body's text, item by item: one object, an array, or an object a line (NDJSON).

One bad item never takes the others down: it is set aside with its index and what is wrong with it. What cannot be
told apart into items at all (no UTF-8, no JSON) is refused as a whole.
"""

import re
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from typing import Any, Generic, NamedTuple, TypeVar

import msgspec

from shared.contracts.events import EVENT_BYTES_MAX
from shared.errors import Invalid, Malformed, TooLarge

#: Of an item as it was sent; what is on Kafka then fits into a record even where numbers are written out longer.
ITEM_BYTES_MAX = EVENT_BYTES_MAX
#: Of free-form values. Consumers decode a record from deeper in their stacks than we do, and recursion is bounded.
NESTING_MAX = 32
_REASON_CHARS_MAX = 300  # a reason may quote what the client sent


class Flaw(StrEnum):
    """What can be wrong with an item."""

    JSON = "json"
    NESTING = "nesting"
    #: Nothing is wrong with it, but the key has sent too many.
    RATE = "rate"
    SCHEMA = "schema"
    SIZE = "size"
    #: Text that JSON can spell and PostgreSQL cannot store.
    TEXT = "text"


class Rejection(msgspec.Struct, frozen=True):
    """An item that was not taken."""

    index: int
    flaw: Flaw
    reason: str


class FlawedItem(Exception):
    """One item cannot be taken; never leaves this service."""

    def __init__(self, flaw: Flaw, reason: str) -> None:
        super().__init__(reason)
        self.flaw = flaw
        self.reason = reason[:_REASON_CHARS_MAX]


T = TypeVar("T")


class Items(NamedTuple, Generic[T]):
    """What a body holds; `alone` is true when it is one object, and not a list of one."""

    good: list[tuple[int, T]]
    bad: list[Rejection]
    alone: bool


class Reader(Generic[T]):
    """Reads items of one type, a msgspec Struct or a union of them.

    `known_types` are the values of the items' `type`, for the answer to an unknown one. `check` looks at what a
    schema cannot say, and raises FlawedItem.
    """

    def __init__(self, type_: Any, check: Callable[[T], None], known_types: Sequence[str] = ()) -> None:
        self._item = msgspec.json.Decoder(type_)
        self._array = msgspec.json.Decoder(list[type_])
        self._check = check
        self._known_types = ", ".join(known_types)

    def read(self, text: bytes, *, lines: bool, items_max: int) -> Items[T]:
        """Items of a body; `lines` says that its content type is NDJSON, which is recognized without it too.

        Raises Malformed (400), and TooLarge (413) above `items_max`.
        """
        _require_utf8(text)
        if _may_be_unstorable(text):
            text = _UNSTORABLE.sub(lambda match: _MARK if match[1] else match[0], text)
        if text[:1] == b"{" and b"\n" not in text:
            return self._one_by_one([text], items_max, alone=not lines)
        if lines or _is_lines(text):
            return self._one_by_one([line for line in text.split(b"\n") if line.strip()], items_max)
        if text.lstrip()[:1] == b"[":
            return self.read_array(text, items_max=items_max)
        return self._one_by_one([text], items_max, alone=True)

    def read_array(self, text: bytes, *, items_max: int) -> Items[T]:
        """The same for a JSON array: all at once, and item by item only when something is wrong with one."""
        if len(text) <= ITEM_BYTES_MAX and _MARK not in text:  # then no item can be refused for either
            try:
                values: list[T] = self._array.decode(text)
                _require_few(len(values), items_max)
                for value in values:
                    self._check(value)
            except (FlawedItem, msgspec.ValidationError):
                pass  # found again below, with its index
            except (msgspec.DecodeError, RecursionError) as error:
                raise _malformed(error) from error
            else:
                return Items(list(enumerate(values)), [], alone=False)
        try:
            return self._one_by_one(_RAW_ARRAY.decode(text), items_max)
        except (msgspec.DecodeError, RecursionError) as error:
            raise _malformed(error) from error

    def _one_by_one(
        self, texts: Sequence[bytes | msgspec.Raw], items_max: int, *, alone: bool = False
    ) -> Items[T]:
        _require_few(len(texts), items_max)
        good: list[tuple[int, T]] = []
        bad: list[Rejection] = []
        for index, text in enumerate(texts):
            try:
                good.append((index, self._read_item(text)))
            except FlawedItem as error:
                bad.append(Rejection(index, error.flaw, error.reason))
        return Items(good, bad, alone)

    def _read_item(self, text: bytes | msgspec.Raw) -> T:
        if memoryview(text).nbytes > ITEM_BYTES_MAX:
            raise FlawedItem(Flaw.SIZE, f"It is larger than {ITEM_BYTES_MAX} bytes.")
        if _MARK in bytes(text):
            raise FlawedItem(
                Flaw.TEXT, "Its text holds NUL, or half a surrogate pair, which cannot be stored."
            )
        try:
            value: T = self._item.decode(text)
        except msgspec.ValidationError as error:
            _require_json(text)  # the schema's complaint comes first where both are wrong
            raise FlawedItem(Flaw.SCHEMA, self._explain(str(error))) from error
        except msgspec.DecodeError as error:
            raise FlawedItem(Flaw.JSON, f"It is not JSON: {error}.") from error
        except RecursionError as error:
            raise FlawedItem(Flaw.NESTING, "It is nested too deeply.") from error
        self._check(value)
        return value

    def _explain(self, complaint: str) -> str:
        about_type = complaint.endswith("- at `$.type`") or "field `type`" in complaint
        if self._known_types and about_type:
            return f"{complaint[:150]}; known types are {self._known_types}"
        return complaint


def clean(body: bytes) -> bytes:
    r"""The body's text, with U+FFFD for what JSON can spell and PostgreSQL cannot store: NUL, half a surrogate pair.

    For what pages send: half a pair is what a browser makes of an emoji that was cut in two, and nobody is there to
    read why it was refused. Raises Malformed when the body is not UTF-8.
    """
    _require_utf8(body)
    if _may_be_unstorable(body):
        return _UNSTORABLE.sub(lambda match: rb"\ufffd" if match[1] else match[0], body)
    return body


def _require_utf8(body: bytes) -> None:
    try:
        body.decode()
    except UnicodeDecodeError as error:
        raise Malformed(f"The body is not UTF-8: {error.reason} (byte {error.start}).") from error


def _may_be_unstorable(text: bytes) -> bool:
    return b"\\u" in text and (b"\\u0000" in text or b"\\ud" in text or b"\\uD" in text)


def require_flat(value: object) -> None:
    """Return when a free-form value is nested no deeper than NESTING_MAX. Raises FlawedItem."""
    if _nested_deeper(value, NESTING_MAX):
        raise FlawedItem(Flaw.NESTING, f"It is nested deeper than {NESTING_MAX} levels.")


def none_valid(rejected: Iterable[Rejection], *, alone: bool) -> Invalid | Malformed | TooLarge:
    """The answer when nothing could be taken: the status that the flaws agree on, else 422."""
    rejected = list(rejected)
    if not rejected:
        return Invalid("The batch is empty.")
    kinds = {_ERROR_OF.get(rejection.flaw, Invalid) for rejection in rejected}
    kind = kinds.pop() if len(kinds) == 1 else Invalid
    detail = rejected[0].reason if alone else f"None of the {len(rejected)} items can be taken."
    return kind(detail, errors=[{"index": item.index, "reason": item.reason} for item in rejected])


_ERROR_OF: dict[Flaw, type[Malformed | TooLarge]] = {
    Flaw.JSON: Malformed,
    Flaw.NESTING: Malformed,
    Flaw.TEXT: Malformed,
    Flaw.SIZE: TooLarge,
}
_RAW = msgspec.json.Decoder(msgspec.Raw)
_RAW_ARRAY = msgspec.json.Decoder(list[msgspec.Raw])
#: An escaped backslash or a whole pair, to step over; or (group 1) what is to be replaced.
_UNSTORABLE = re.compile(
    rb"\\\\|\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"
    rb"|(\\u0000|\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
)


#: In the place of what is unstorable, so that items can be told apart: two characters that are none (Unicode 23.7).
_MARK = rb"\ufffe\uffff"


def _is_lines(text: bytes) -> bool:
    """Whether more lines follow a first one that is a JSON text of its own."""
    first, _, rest = text.lstrip().partition(b"\n")
    if first[:1] != b"{" or not rest.strip():
        return False
    try:
        _require_json(first)
    except FlawedItem:
        return False
    return True


def _require_json(text: bytes | msgspec.Raw) -> None:
    try:
        _RAW.decode(text)
    except (msgspec.DecodeError, RecursionError) as error:
        raise FlawedItem(Flaw.JSON, f"It is not JSON: {error}.") from error


def _require_few(count: int, items_max: int) -> None:
    if count > items_max:
        raise TooLarge(f"{count} items are more than the {items_max} that one request may hold.")


def _malformed(error: Exception) -> Malformed:
    return Malformed(f"The body is not JSON that can be read: {error}.")


def _nested_deeper(value: object, levels: int) -> bool:
    if isinstance(value, dict):
        children: Iterable[object] = value.values()
    elif isinstance(value, list):
        children = value
    else:
        return False
    return levels == 0 or any(_nested_deeper(child, levels - 1) for child in children)
