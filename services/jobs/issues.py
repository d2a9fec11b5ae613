"""Grouping: which errors are one issue. Pure, and versioned: a new rule gets a new number, so old issues stay.

Version 1: the producer's fingerprint when there is one; else the exception's type, the functions and files of the
innermost frames without line numbers (a release shifts lines, not names), and the message with its variable
parts replaced, which decides alone when there is no stack. Frames come from the producer where it sent them, its
own code's before its libraries'; else from the text of the stack.
"""

import hashlib
import re
from typing import NamedTuple

from shared.contracts import events
from shared.contracts.events import Error

GROUPING = 1
_FRAMES = 3  # deeper ones tell how the error was reached, not what it is
_TITLE_CHARACTERS_MAX = 200
_MESSAGE_CHARACTERS_MAX = 1_000  # of a message decide; the patterns below run over strangers' text
_STACK_LINES_MAX, _LINE_CHARACTERS_MAX = 200, 1_000

#: What varies in messages of one error; the more specific comes first.
_VARIABLE = [
    (re.compile(r"https?://\S+"), "<url>"),
    (re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}\.[\w.]{1,190}"), "<email>"),
    (re.compile(r"\b[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}\b"), "<uuid>"),
    (re.compile(r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*[0-9])(?=[0-9a-f]*[a-f])[0-9a-f]{8,}\b"), "<hex>"),
    (re.compile(r"(?<![\w'])'[^']{1,200}'(?!\w)|\"[^\"]{1,200}\""), "<text>"),
    (re.compile(r"\d+"), "<number>"),
]

#: One frame a line: V8 (`at f (url:1:2)`), SpiderMonkey and JavaScriptCore (`f@url:1:2`), Python (`File "f.py", ...`).
_V8 = re.compile(r"^\s*at (?:async )?(?:(?P<function>[^()]*?) )?\(?(?P<file>[^()\s]+?):\d+:\d+\)?$")
_GECKO = re.compile(r"^\s*(?P<function>[^@\s]*)@(?P<file>\S+?):\d+:\d+$")
_PYTHON = re.compile(r'^\s*File "(?P<file>[^"]+)", line \d+, in (?P<function>\S+)')
_HASHED = re.compile(r"[.-][0-9a-zA-Z_]{8,}(?=\.m?js$)")


class Frame(NamedTuple):
    """A place in the code, without the line."""

    function: str
    file: str


class Group(NamedTuple):
    """What an error is filed under."""

    fingerprint: str
    title: str
    culprit: str


def group(error: Error) -> Group:
    """The issue that an error belongs to."""
    frames = (structured(error.frames) if error.frames else parse_stack(error.stack))[:_FRAMES]
    message = parameterised(error.message)
    if error.fingerprint:
        parts = ["custom", *error.fingerprint]
    elif frames:
        parts = ["stack", error.exception_type, *(f"{frame.function}@{frame.file}" for frame in frames)]
    else:
        parts = ["message", error.exception_type, message]
    digest = hashlib.sha256("\x1f".join(parts).encode()).hexdigest()[:32]
    culprit = (
        f"{frames[0].function or '<anonymous>'} in {frames[0].file}" if frames else error.page or error.url
    )
    first_line = error.message.splitlines()[0] if error.message.strip() else "(no message)"
    title = f"{error.exception_type}: {first_line}"[:_TITLE_CHARACTERS_MAX]
    return Group(f"{GROUPING}:{digest}", title, culprit[:_TITLE_CHARACTERS_MAX])


def parameterised(message: str) -> str:
    """A message with what varies from one occurrence to the next replaced by what it is."""
    message = message[:_MESSAGE_CHARACTERS_MAX]
    for pattern, name in _VARIABLE:
        message = pattern.sub(name, message)
    return message


def structured(frames: list[events.Frame]) -> list[Frame]:
    """The frames of the producer's own code, innermost first; all of them when none is its own."""
    own = [frame for frame in frames if frame.in_app] or frames
    return [Frame(frame.function, _file_name(frame.file or frame.module)) for frame in own]


def parse_stack(stack: str) -> list[Frame]:
    """The frames of a stack trace, innermost first; lines that are none are left out."""
    frames = []
    python = False
    lines = stack.splitlines()
    if len(lines) > _STACK_LINES_MAX:  # the innermost frames are at one end, and the language decides which
        lines = lines[: _STACK_LINES_MAX // 2] + lines[-_STACK_LINES_MAX // 2 :]
    for line in lines:
        if len(line) > _LINE_CHARACTERS_MAX:
            continue
        for pattern in (_PYTHON, _V8, _GECKO):
            match = pattern.match(line)
            if match is not None:
                python = python or pattern is _PYTHON
                frames.append(Frame(match["function"] or "", _file_name(match["file"])))
                break
    return frames[::-1] if python else frames  # Python prints the innermost frame last


def _file_name(path: str) -> str:
    """The path without host, query and a bundler's content hash: what stays the same over releases."""
    path = re.sub(r"^[a-z-]+://[^/]*", "", path).split("?")[0].split("#")[0]
    return _HASHED.sub("", path)
