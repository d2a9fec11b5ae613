"""Waiting for what the demo set off."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

T = TypeVar("T")

WITHIN_S = 60.0


class NotSeen(Exception):
    """Something did not happen in time; the text says what."""


async def until(question: Callable[[], Awaitable[T | None]], what: str, *, within_s: float = WITHIN_S) -> T:
    """Ask until the answer is true, and return it. Raises NotSeen after `within_s`."""
    deadline = time.monotonic() + within_s
    while True:
        answer = await question()
        if answer:
            return answer
        if time.monotonic() > deadline:
            raise NotSeen(f"waited {within_s:g} s for {what}; the last answer was {answer!r}")
        await asyncio.sleep(0.1)
