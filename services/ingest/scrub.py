"""Secrets and personal data, taken out before anything is written to Kafka.

Two kinds are found: values under a telling name (`password`, `api_key`, ...), in tags, properties, query strings and
as `name=value` or `name: value` in any text, stack traces and frames' variables included; and values that tell on
themselves: bearer tokens, JSON Web Tokens, well-known token formats, PEM private keys, payment cards (by their
issuers' prefixes and Luhn's sum), passwords in URLs. E-mail and IP addresses are by option, since many teams need them.

Nearly every event has none of this, so `suspects` looks at an event's encoded bytes first, with one automaton for all
the substrings that matter: half a microsecond for a metric, six for a stack trace of 3 KB. Only what holds one of
them is looked at with expressions, which cost ten times as much, and only what those find is taken apart: a hundred
microseconds for 3 KB with a secret.
"""

import re
from typing import Any, TypeVar

import msgspec
from ahocorasick_rs import BytesAhoCorasick, Implementation

from services.ingest import sensitive
from services.ingest.sensitive import FILTERED, SECRET_PARTS, SECRET_WORDS


class ScrubRules(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What is scrubbed for one project."""

    #: Off only where everything downstream may see secrets.
    enabled: bool = True
    #: E-mail addresses too.
    emails: bool = False
    #: IP addresses too.
    addresses: bool = False
    #: More parts of names whose values are secret, such as `iban`.
    names: tuple[str, ...] = ()
    #: Names that are not secret, whatever their parts.
    keep: tuple[str, ...] = (
        "token_count",
        "max_tokens",
        "prompt_tokens",
        "completion_tokens",
        "total_tokens",
    )


E = TypeVar("E", bound=msgspec.Struct)


class Scrubber:
    """Scrubs by one project's rules."""

    def __init__(self, rules: ScrubRules) -> None:
        own = [_bare(name) for name in rules.names]
        spelled = [spelling for name in rules.names for spelling in _spellings(name)]
        self._enabled = rules.enabled
        self._kept = {_bare(name) for name in rules.keep}
        self._secret_part = re.compile("|".join(map(re.escape, [*SECRET_PARTS, *own])))
        names = [*sensitive.NAME_PARTS_LOWER, *map(re.escape, spelled)]
        self._name_part = re.compile("|".join(names))
        self._findings = list(sensitive.FINDINGS)
        shapes = [*names, *sensitive.SHAPES_LOWER]
        if rules.emails:
            self._findings.append(sensitive.EMAIL)
            shapes.append(sensitive.EMAIL_SHAPE_LOWER)
        if rules.addresses:
            self._findings += sensitive.ADDRESSES
            shapes += sensitive.ADDRESS_SHAPES_LOWER
        self._suspicious = re.compile("|".join(shapes).encode())
        needles = [needle.encode() for needle in (*sensitive.NEEDLES_LOWER, *spelled)]
        self._needles = BytesAhoCorasick(needles, implementation=Implementation.DFA)
        self._at = needles.index(b"@")
        self._emails = rules.emails
        self._addresses = rules.addresses  # which have no substring in common
        #: Names are few and come again: the answer is remembered, up to a bound.
        self._known: dict[str, bool] = {}

    def suspects(self, encoded: bytes) -> bool:
        """Whether JSON as bytes may hold something to take out; False means that it does not."""
        if not self._enabled:
            return False
        text = encoded.lower()
        found = self._addresses or self._needles.find_matches_as_indexes(text)
        if found and self._suspicions(found).search(text) is not None:
            return True
        if _LONG_NUMBER not in text.translate(_AS_ZERO, b" -"):
            return False
        # Ids of web vitals are long numbers too, but not by themselves. A control character, spelled out, may end in
        # a digit, and is not looked into.
        return b"\\u00" in text or sensitive.CARD_ENCODED.search(text) is not None

    def _suspicions(self, found: bool | list[tuple[int, int, int]]) -> re.Pattern[bytes]:
        """What to look for: an `@` alone, as in `web@4.7.1`, can only be an e-mail address or a URL with a password."""
        if self._emails or isinstance(found, bool) or any(number != self._at for number, _, _ in found):
            return self._suspicious
        return sensitive.USERINFO_ENCODED

    def event(self, event: E) -> E:
        """The event without them; what is not free text (ids, times, closed sets) stays as it is."""
        changes = {}
        for name in event.__struct_fields__:
            value = getattr(event, name)
            if value and name not in _NOT_FREE:
                scrubbed = self.value(value)
                if scrubbed is not value:
                    changes[name] = scrubbed
        return msgspec.structs.replace(event, **changes) if changes else event

    def value(self, value: Any) -> Any:
        """Any JSON value without them; the very same object when there were none."""
        match value:
            case str():
                return self.text(value)
            case dict():
                members = {name: self._member(name, item) for name, item in value.items()}
                return members if any(members[name] is not item for name, item in value.items()) else value
            case list():
                items = [self._item(item) for item in value]
                return items if any(a is not b for a, b in zip(items, value, strict=True)) else value
            case msgspec.Struct():  # a frame, a breadcrumb
                return self.event(value)
            case int() if value >= 10**12 and sensitive.is_card(str(value)):
                return FILTERED
        return value

    def text(self, text: str) -> str:
        """A text without them; the very same object when there were none."""
        lower = text.lower()
        scrubbed = text
        if self._addresses or self._needles.find_matches_as_indexes(lower.encode(errors="surrogatepass")):
            if ":" in text or "=" in text:
                scrubbed = self._without_pairs(text, lower)
            for guard, pattern, replacement in self._findings:
                if guard in lower:
                    scrubbed = pattern.sub(replacement, scrubbed)
        if _LONG_NUMBER_TEXT in lower.translate(_AS_ZERO_TEXT):
            scrubbed = sensitive.CARD.sub(_hide_card, scrubbed)
        return text if scrubbed == text else scrubbed

    def is_secret(self, name: str) -> bool:
        """Whether what stands under this name is secret."""
        known = self._known.get(name)
        if known is None:
            bare = _bare(name)
            known = bare not in self._kept and (
                self._secret_part.search(bare) is not None
                or any(word.lower() in SECRET_WORDS for word in _WORD.findall(name))
            )
            if len(self._known) < _KNOWN_NAMES_MAX:
                self._known[name] = known
        return known

    def _member(self, name: object, value: Any) -> Any:
        says_nothing = value is None or value == "" or isinstance(value, bool)
        if isinstance(name, str) and not says_nothing and self.is_secret(name):
            return FILTERED
        return self.value(value)

    def _item(self, item: Any) -> Any:
        """An item of a list; a pair of texts may be a name and its value, as headers are often listed."""
        match item:
            case [str() as name, str() as value] if (
                value and len(name) <= _NAME_CHARS_MAX and self.is_secret(name)
            ):
                return [name, FILTERED]
        return self.value(item)

    def _without_pairs(self, text: str, lower: str) -> str:
        """The text with the values of its secret `name=value` and `name: value` taken out."""
        if len(lower) != len(text):  # some capitals have no small letter of their own
            lower = text
        pieces = []
        done = 0
        for part in self._name_part.finditer(lower):
            if part.start() < done:
                continue
            rest = _REST_OF_PAIR.match(text, part.end())
            if rest is None:
                continue
            start = _start_of_name(text, part.start(), floor=max(part.start() - _NAME_CHARS_MAX, done))
            name = text[start : rest.end("name")]
            if self.is_secret(name) and not self._is_prose(name, rest):
                pieces += [text[done : rest.start("value")], FILTERED]
                done = rest.end("value")
        return "".join([*pieces, text[done:]]) if pieces else text

    def _is_prose(self, name: str, rest: re.Match[str]) -> bool:
        """`Invalid token: unexpected end`: a word that is not always a name, and a word after it."""
        return rest["sign"] == ": " and rest["value"].isalpha() and not self._secret_part.search(_bare(name))


def _start_of_name(text: str, at: int, *, floor: int) -> int:
    while at > floor and (text[at - 1].isalnum() or text[at - 1] in "_.-"):
        at -= 1
    return at


def _spellings(name: str) -> set[str]:
    """A name in lower case, its parts joined in every usual way."""
    parts = re.split(r"[-_ ]", name.lower())
    return {sign.join(parts) for sign in ("", "-", "_")}


def _bare(name: str) -> str:
    return name.lower().translate(_WITHOUT_SEPARATORS)


def _hide_card(match: re.Match[str]) -> str:
    return FILTERED if sensitive.is_card(match[0].translate(_WITHOUT_SEPARATORS)) else match[0]


_NAME_CHARS_MAX = 64
_KNOWN_NAMES_MAX = 10_000
_WITHOUT_SEPARATORS = str.maketrans("", "", "-_ ")
_WORD = re.compile(r"[A-Z]?[a-z0-9]+|[A-Z0-9]+(?![a-z])")
#: Fields of events that are closed sets, ids or clocks.
_NOT_FREE = frozenset(
    "id timestamp session_id device level handled metric_id rating navigation_type".split()  # noqa: SIM905
)
#: What follows the part of a name that was found: the name's end, a sign and a value, each in quotes of any kind, which
#: may be escaped, as they are in JSON within a text.
_REST_OF_PAIR = re.compile(
    r"""(?P<name>[\w.-]{0,64})\\{0,7}["']?\s{0,4}(?P<sign>=>|: |[=:])\s{0,4}(?P<value>"""
    r"""(?P<quote>\\{1,7}")(?:(?!(?<!\\)(?P=quote)).)*+(?:(?P=quote))?"""
    r"""|"(?:[^"\\]|\\.)*+"?|'(?:[^'\\]|\\.)*+'?"""
    r"""|(?:(?:bearer|basic|digest|token)\s{1,4})?[^\s"'&;,)}\]<>\\]{1,4096})""",
    re.IGNORECASE | re.DOTALL,
)
#: Every digit as 0, without what separates a card's groups: then a card is a run of zeros.
_AS_ZERO = bytes(48 if 48 <= code <= 57 else code for code in range(256))
_AS_ZERO_TEXT: dict[int, int | None] = {**dict.fromkeys(range(48, 58), 48), 32: None, 45: None}
_LONG_NUMBER = b"0" * 13
_LONG_NUMBER_TEXT = "0" * 13

#: For arrivals that name no rules of their own.
DEFAULT = Scrubber(ScrubRules())
