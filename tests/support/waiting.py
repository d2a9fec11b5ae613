"""Waiting for a condition, with a deadline: never for a time."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_S = 30.0  # generous: the machine is shared, and a deadline is only reached when something is broken


async def eventually(question: Callable[[], Awaitable[T | None]], *, within_s: float = WITHIN_S) -> T:
    """Ask until the answer is true, and return it; fails with the last answer after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        answer = await question()
        if answer:
            return answer
        assert time.monotonic() < deadline, f"not within {within_s:g} s; the last answer was {answer!r}"
        await asyncio.sleep(0.05)
