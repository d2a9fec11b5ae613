"""What secrets and personal data look like: names, formats, and the substrings that give them away cheaply.

Everything ending in `_LOWER` is for texts in lower case.
"""

# ruff: noqa: SIM905 - words are read and changed most easily as a text of words
import re
from collections.abc import Callable
from typing import NamedTuple

#: What stands in a value's place.
FILTERED = "[Filtered]"
FILTERED_EMAIL = "[email]"
FILTERED_ADDRESS = "[ip]"

#: Names, or parts of names, whose values are secret; `-`, `_` and case do not matter.
#: Sentry's server-side list (docs.sentry.io, server-side scrubbing), and what its SDK's deny list adds.
SECRET_PARTS = frozenset(
    "password passwd passphrase passcode secret apikey apitoken accesskey privatekey credential mysqlpwd bearer"
    " cookie csrf xsrf sessid jwt".split()
)
#: The same, as whole words of a name: `auth_token` has two of them, `tokenizer` and `author` none.
SECRET_WORDS = frozenset(
    "auth authorization oauth token tokens pwd pass pin cvv cvc ssn otp sid sessionid".split()
)

#: At least one is in every secret name, and few are in other texts. Each starts with a letter, and not with a group or a
#: set: then `re` skips from one possible first letter to the next, ten times faster.
NAME_PARTS_LOWER = (
    *r"passw passphrase passcode pass(?![a-z]) pwd secret token jwt bearer cookie credential csrf xsrf".split(),
    *r"api[_-]?key access[_-]?key private[_-]?key auth(?!or) authoriz sessid sessionid".split(),
    *(rf"{word}(?![a-z])" for word in ("pin", "cvv", "cvc", "ssn", "otp", "sid")),
)
#: In every URL with a user and a password.
USERINFO_LOWER = "://[^/@ ]{0,256}:[^/@ ]{1,256}@"
USERINFO_ENCODED = re.compile(USERINFO_LOWER.encode())

#: One of these is in everything else that is found, but for cards and addresses.
SHAPES_LOWER = (
    *r"eyj akia[0-9a-z]{16} asia[0-9a-z]{16} gh[opsur]_ github_pat_ glpat- xox[abeoprs]- aiza pypi- sbsk_".split(),
    *r"rk_(?:live|test)_ sk_(?:live|test)_ sk-[a-z0-9_-]{20} npm_[a-z0-9]{36} -----begin".split(),
    *("basic ", USERINFO_LOWER),
    r"\\u00[2-7]",  # letters and signs that a producer spelled out, where its own bytes are looked at
)
#: One of these is in everything that the expressions above match.
NEEDLES_LOWER = (
    *"pass pwd secret token jwt bearer cookie auth credential csrf xsrf sessid sessionid pin cvv cvc ssn otp sid".split(),
    *"apikey api_key api-key accesskey access_key access-key privatekey private_key private-key".split(),
    *"eyj akia asia ghp_ gho_ ghs_ ghu_ ghr_ github_pat_ glpat- xox rk_ sk_ sk- aiza npm_ pypi- -----begin @".split(),
    *("basic ", "\\u00"),
)

Replacement = str | Callable[[re.Match[str]], str]


class Finding(NamedTuple):
    """What tells on itself: `guard` is in every text, in lower case, that `pattern` can match."""

    guard: str
    pattern: re.Pattern[str]
    replacement: Replacement


FINDINGS = (
    Finding(
        "-----begin",
        re.compile(
            r"-----BEGIN [A-Z ]{0,32}PRIVATE KEY-----.*?(?:-----END [A-Z ]{0,32}PRIVATE KEY-----|\Z)",
            re.DOTALL,
        ),
        FILTERED,
    ),
    Finding(
        "cookie",
        re.compile(r"""([CcSs](?<!\w.)(?i:ookie|et-cookie)["']?\s{0,4}:\s{0,4})[^\r\n"']+"""),
        rf"\1{FILTERED}",
    ),
    Finding("bearer", re.compile(r"([Bb](?<!\w.)(?i:earer))\s{1,4}[\w.~+/=-]{8,}"), rf"\1 {FILTERED}"),
    Finding(
        "basic", re.compile(r"([Bb](?<!\w.)(?i:asic))\s{1,4}[\w+/]{12,}={0,2}(?![\w+/])"), rf"\1 {FILTERED}"
    ),
    Finding("eyj", re.compile(r"\beyJ[\w-]{8,}\.[\w-]{8,}(?:\.[\w-]*)?"), FILTERED),
    Finding("ia", re.compile(r"\bA(?:KIA|SIA)[0-9A-Z]{16}\b"), FILTERED),
    Finding(
        "_",
        re.compile(
            r"\b(?:gh[opsur]_\w{30,}|github_pat_\w{30,}|[rs]k_(?:live|test)_\w{16,}|npm_\w{36}|sbsk_\w{16,})"
        ),
        FILTERED,
    ),
    Finding(
        "-",
        re.compile(r"\b(?:glpat-[\w-]{20,}|xox[abeoprs]-[\w-]{10,}|sk-[\w-]{20,}|pypi-[\w-]{50,})"),
        FILTERED,
    ),
    Finding("aiza", re.compile(r"\bAIza[\w-]{35}"), FILTERED),
    Finding("://", re.compile(r"(?<=://)([^\s/:@?#]{0,256}):[^\s/@]{1,256}@"), rf"\1:{FILTERED}@"),
)
EMAIL = Finding(
    "@", re.compile(r"(?i)(?<![\w.+%-])[\w.+%-]{1,64}@(?:[a-z0-9-]{1,63}\.){1,8}[a-z]{2,24}"), FILTERED_EMAIL
)
EMAIL_SHAPE_LOWER = "@"

_OCTET = r"(?:25[0-5]|2[0-4]\d|1?\d?\d)"
_GROUP = r"[0-9a-f]{1,4}"
ADDRESSES = (
    Finding(".", re.compile(rf"(?<![\w.])(?:{_OCTET}\.){{3}}{_OCTET}(?!\.?\w)"), FILTERED_ADDRESS),
    Finding(":", re.compile(rf"(?i)(?<![\w:.])(?:{_GROUP}:){{7}}{_GROUP}(?![\w:])"), FILTERED_ADDRESS),
    Finding(
        "::",
        re.compile(
            rf"(?i)(?<![\w:.])(?:(?:{_GROUP}:){{1,6}}:(?:{_GROUP}(?::{_GROUP}){{0,5}})?"
            rf"|::(?:{_GROUP}:){{0,6}}{_GROUP})(?![\w:])"
        ),
        FILTERED_ADDRESS,
    ),
)
ADDRESS_SHAPES_LOWER = (r"[0-9]\.[0-9]{1,3}\.[0-9]{1,3}\.[0-9]", r"[0-9a-f]:[0-9a-f]{1,4}:[0-9a-f]", "::")

#: Groups of digits that may be a payment card's number.
CARD = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w-])")
#: In all that CARD matches, in texts that JSON has encoded: there a newline ends in a letter. It starts with a digit, so
#: that `re` skips from one to the next, and takes no turn back: four times as fast.
CARD_ENCODED = re.compile(rb"[0-9][0-9 -]{12}(?:(?<![\w.-][0-9 -]{13})|(?<=\\[bfnrt][0-9 -]{13}))")
#: Visa; Mastercard; American Express; Diners; Discover; JCB; UnionPay.
_ISSUER = re.compile(
    r"4|5[1-5]|2(?:22[1-9]|2[3-9]|[3-6]|7[01]|720)|3[47]|3(?:0[0-5]|[68])|6(?:011|4[4-9]|5)|35|62"
)


def is_card(digits: str) -> bool:
    """Luhn's sum, over what starts as an issuer's numbers do."""
    if not 13 <= len(digits) <= 19 or not _ISSUER.match(digits):
        return False
    total = 0
    for place, digit in enumerate(reversed(digits)):
        number = int(digit) << (place % 2)
        total += number - 9 if number > 9 else number
    return total % 10 == 0
