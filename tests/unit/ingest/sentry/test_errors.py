"""Error events of real SDKs become ours, field by field; and of older ones, whatever shape their fields have."""

from typing import Any

import msgspec
import pytest

from services.ingest.sentry import errors
from services.ingest.sentry.errors import Payload, error_of
from shared.contracts.events import Error, Frame
from tests.unit.ingest.sentry.recordings import events


def error(**fields: Any) -> Error:
    return error_of(Payload(**fields), id=None, user_agent="")


def test_a_chained_exception_of_python() -> None:
    [found] = events("python-chained", Error)
    assert found.id == "e20e140ba91343adb78cddb4dc43397d"
    assert (found.exception_type, found.message) == ("OutOfStock", "item 7 is out of stock")
    assert [(cause.exception_type, cause.message) for cause in found.causes] == [("KeyError", "'stock'")]
    assert (found.release, found.environment, found.server_name) == ("booking-api@4.12.0", "ci", "python-1")
    assert found.runtime == "CPython 3.11.7"
    assert (found.user, found.user_details) == ("u-1093", {"email": "ann@example.org"})
    assert found.tags == {"shop": "berlin"}
    assert (found.handled, found.level, found.device) == (True, "error", "unknown")
    [crumb] = found.breadcrumbs
    assert (crumb.category, crumb.message, crumb.data) == ("cart", "added item 7", {"item": 7})
    assert found.contexts["order"] == {"items": 3}
    assert found.contexts["trace"]["trace_id"] == "0bdc2ae568fe453a83a8b7211e12b320"


def test_frames_come_innermost_first_with_code_and_variables() -> None:
    [found] = events("python-locals", Error)
    inner, outer = found.frames
    assert (inner.function, inner.file, inner.module, inner.line) == (
        "reserve",
        "sentry_python.py",
        "__main__",
        18,
    )
    assert inner.context_line == '    raise OutOfStock(f"item {item} is out of stock")'
    assert len(inner.pre_context) == len(inner.post_context) == 5
    assert inner.variables == {"item": "8", "password": "[Filtered]"}
    assert (outer.function, outer.line) == ("main", 43)


def test_a_message_of_python_with_its_level() -> None:
    [found] = events("python-message", Error)
    assert (found.exception_type, found.message, found.level) == (errors.MESSAGE, "stock is low", "warning")


def test_an_attachment_beside_the_event_costs_nothing() -> None:
    [found] = events("python-attachment", Error)
    assert (found.fingerprint, found.level) == (["checkout", "timeout"], "fatal")


@pytest.mark.parametrize("version", [8, 11])
def test_an_exception_of_node(version: int) -> None:
    [found] = events(f"node-{version}-exception", Error)
    assert (found.exception_type, found.message) == ("OutOfStock", "item 7 is out of stock")
    assert (found.frames[0].function, found.frames[0].line, found.frames[0].column) == ("reserve", 18, 9)
    assert found.frames[1].function == ""
    assert (found.release, found.runtime, found.server_name) == ("shop-api@4.12.0", "node v20.20.2", "node-1")
    assert found.breadcrumbs[0].message == "added item 7"


def test_from_v11_a_message_comes_with_a_stack_and_without_a_type() -> None:
    [found] = events("node-11-message", Error)
    assert (found.exception_type, found.message, found.level) == (errors.MESSAGE, "stock is low", "warning")
    assert found.frames[0].line == 32


@pytest.mark.parametrize("version", [8, 11])
def test_an_exception_of_a_browser(version: int) -> None:
    [found] = events(f"browser-{version}-exception", Error)
    assert found.message == "Cannot read properties of null (reading 'price')"
    assert (found.exception_type, found.handled) == ("TypeError", False)
    assert (found.url, found.page, found.transaction) == ("http://127.0.0.1:9932/", "/", "/")
    assert (found.device, found.user) == ("desktop", "u-1093")
    assert found.frames[0].function == "fail"
    assert found.breadcrumbs[0].category == "ui.click"
    assert "User-Agent" in found.contexts["request"]["headers"]


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"message": "plain"}, "plain"),
        ({"message": {"message": "of %s", "formatted": "of cake"}}, "of cake"),
        ({"logentry": {"message": "a template", "params": []}, "message": "else"}, "a template"),
        ({"exception": {"values": [{"type": "KeyError", "value": 7}]}}, "7"),
        ({"exception": [{"type": "KeyError"}]}, "KeyError"),
        ({"exception": {"type": "KeyError", "value": "alone"}}, "alone"),
        ({"exception": {"values": [None, 3]}, "message": ["no"]}, errors.MESSAGE),
        ({}, errors.MESSAGE),
    ],
    ids=str,
)
def test_messages_and_exceptions_come_in_many_shapes(fields: dict[str, Any], message: str) -> None:
    assert error(**fields).message == message


def test_tags_and_headers_may_be_lists_of_pairs_and_releases_numbers() -> None:
    found = error(
        tags=[["a", 1], ["b", True], ["c"], "d"],
        request={"url": "https://app.test/", "headers": [["User-Agent", "Mozilla/5.0 (iPhone) Mobile"]]},
        release=7,
        level="critical",
    )
    assert found.tags == {"a": "1", "b": "true"}
    assert (found.device, found.release, found.level) == ("mobile", "7", "fatal")


def test_the_default_in_a_fingerprint_stands_for_our_own_grouping() -> None:
    exception = {"values": [{"type": "KeyError", "value": "x"}]}
    assert error(fingerprint=["{{ default }}"]).fingerprint == []
    assert error(fingerprint=[12, "{{ default }}"], exception=exception).fingerprint == ["12", "KeyError x"]


def test_without_an_exception_the_stack_is_that_of_the_thread() -> None:
    frames = {"frames": [{"function": "outer"}, {"function": "inner", "in_app": False}]}
    threads = {"values": [{"id": 1}, {"id": 2, "current": True, "stacktrace": frames}]}
    assert error(message="m", threads=threads).frames == [
        Frame(function="inner", in_app=False),
        Frame(function="outer"),
    ]


def test_what_a_contract_bounds_is_cut() -> None:
    deep: Any = "deepest"
    for _ in range(60):
        deep = {"in": deep}
    found = error(
        exception=[{"type": "T" * 300, "stacktrace": {"frames": [{"lineno": n} for n in range(300)]}}],
        breadcrumbs=[{"message": str(n)} for n in range(300)],
        transaction="/" * 600,
        tags={str(n): "x" for n in range(300)},
        contexts={str(n): {"a": n} for n in range(300)},
        extra=deep,
        environment="e" * 100,
    )
    assert [found.frames[0].line, len(found.frames)] == [299, 100]
    assert [found.breadcrumbs[-1].message, len(found.breadcrumbs)] == ["299", 100]
    assert len(found.contexts) == 64
    assert error(extra={"wide": [[1]] * 100_000}).contexts["extra"] == {"wide": "[left out]"}
    assert "[left out]" in str(found.contexts["extra"])
    assert msgspec.json.decode(msgspec.json.encode(found), type=Error) == found


def test_an_error_too_large_for_a_record_keeps_what_identifies_it() -> None:
    [found] = events("python-locals", Error)
    found.contexts["extra"] = {"text": "x" * 2_000_000}
    slim = errors.slimmed(found)
    assert len(msgspec.json.encode(slim)) < 2_000
    assert (slim.id, slim.message, slim.exception_type) == (found.id, found.message, found.exception_type)
    assert [frame.function for frame in slim.frames] == ["reserve", "main"]
