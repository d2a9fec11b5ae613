"""What is let through of what libraries say."""

import logging

from shared.logs import _Repeats


def record(message: object, name: str = "aiokafka") -> logging.LogRecord:
    return logging.LogRecord(name, logging.ERROR, __file__, 1, message, (), None)


def test_a_library_says_one_thing_once_in_a_while() -> None:
    repeats = _Repeats()
    assert [repeats.filter(record("connect failed")) for _ in range(3)] == [True, False, False]
    assert repeats.filter(record("connect failed", "aiokafka.consumer"))
    assert repeats.filter(record("something else"))


def test_our_own_events_always_pass() -> None:
    repeats = _Repeats()
    assert all(repeats.filter(record({"event": "waiting"})) for _ in range(3))
