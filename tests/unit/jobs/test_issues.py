"""Which errors are one issue."""

import pytest

from services.jobs.issues import Frame, group, parameterised, parse_stack
from shared.contracts import events
from shared.contracts.events import Error

V8 = """TypeError: x is undefined
    at render (https://app.test/assets/main-8f3c2a1b.js:10:15)
    at async load (https://app.test/assets/main-8f3c2a1b.js:99:1)
    at https://app.test/assets/vendor.js:1:2"""
GECKO = """render@https://app.test/assets/main-8f3c2a1b.js:10:15
load@https://app.test/assets/main-8f3c2a1b.js:99:1
@https://app.test/assets/vendor.js:1:2"""
PYTHON = """Traceback (most recent call last):
  File "/srv/app/main.py", line 3, in handler
    work()
  File "/srv/app/work.py", line 7, in work
    raise ValueError("no")
ValueError: no"""


def error(message: str = "x is undefined", stack: str = V8, **fields: object) -> Error:
    return Error(message=message, exception_type="TypeError", stack=stack, **fields)  # type: ignore[arg-type]


def test_one_error_of_two_engines_is_one_issue() -> None:
    assert group(error(stack=V8)).fingerprint == group(error(stack=GECKO)).fingerprint


def test_a_release_that_shifts_lines_and_hashes_does_not_split_an_issue() -> None:
    shifted = V8.replace("8f3c2a1b", "77aa00bb").replace(":10:15", ":12:1")
    assert group(error()).fingerprint == group(error(stack=shifted)).fingerprint


def test_another_place_is_another_issue() -> None:
    assert group(error()).fingerprint != group(error(stack=V8.replace("render", "paint"))).fingerprint


def test_without_a_stack_the_message_decides_whatever_its_numbers() -> None:
    first, second, other = (group(error(text, stack="")).fingerprint for text in ("id 12", "id 77", "no id"))
    assert first == second != other


def test_the_producers_fingerprint_overrides() -> None:
    assert (
        group(error(fingerprint=["a"])).fingerprint == group(error("else", "", fingerprint=["a"])).fingerprint
    )


def test_python_frames_are_turned_so_that_the_innermost_is_first() -> None:
    assert parse_stack(PYTHON) == [Frame("work", "/srv/app/work.py"), Frame("handler", "/srv/app/main.py")]


def structured_frames(*, own: bool = True) -> list[events.Frame]:
    url = "https://app.test/assets/main-8f3c2a1b.js"
    return [
        events.Frame(function="flush", file="https://app.test/assets/vendor.js", in_app=False, line=3),
        events.Frame(function="render", file=url, line=10, in_app=own),
        events.Frame(function="load", file=url, line=99, in_app=own),
    ]


def test_frames_of_the_producers_own_code_come_before_its_libraries_and_before_the_text() -> None:
    found = group(error(stack=PYTHON, frames=structured_frames()))
    assert found.culprit == "render in /assets/main.js"
    libraries = group(error(frames=structured_frames(own=False)))
    assert libraries.culprit == "flush in /assets/vendor.js"
    assert found.fingerprint != libraries.fingerprint


def test_structured_frames_and_text_of_one_stack_are_one_issue() -> None:
    two_lines = "\n".join(V8.splitlines()[:3])
    assert group(error(stack=two_lines)).fingerprint == group(error(frames=structured_frames())).fingerprint


def test_title_and_culprit_say_what_and_where() -> None:
    found = group(error())
    assert (found.title, found.culprit) == ("TypeError: x is undefined", "render in /assets/main.js")


@pytest.mark.parametrize(
    ("message", "expected"),
    [
        ("user 123 of 4", "user <number> of <number>"),
        ("GET https://a.b/c?d=1 failed", "GET <url> failed"),
        ("no user ann@example.org", "no user <email>"),
        ("job 0b9c2f6e-1d2c-4c1a-9b1e-000000000001 lost", "job <uuid> lost"),
        (
            "Cannot read properties of undefined (reading 'name')",
            "Cannot read properties of undefined (reading <text>)",
        ),
        ("don't panic, it isn't far", "don't panic, it isn't far"),
    ],
)
def test_what_varies_in_a_message_is_replaced_by_what_it_is(message: str, expected: str) -> None:
    assert parameterised(message) == expected


def test_a_strangers_long_text_is_grouped_in_time_that_does_not_grow_with_it() -> None:
    for text in ("a" * 250_000, "'" * 250_000, "a@" * 100_000, "9" * 250_000, "https://" * 30_000):
        first, second = group(error(text, stack="")), group(error(text + "!", stack="x@" * 100_000))
        assert first.fingerprint == second.fingerprint


def test_both_ends_of_a_long_stack_are_read() -> None:
    deep = "\n".join(f"f{number}@https://a.test/x.js:1:1" for number in range(10_000))
    frames = parse_stack(deep)
    assert (frames[0].function, frames[-1].function) == ("f0", "f9999")
