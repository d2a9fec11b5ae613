"""Readiness: named checks, run side by side, each within a time limit."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

#: Returns when a part can be used; a text that it returns says what is wrong with it nevertheless.
Check = Callable[[], Awaitable[str | None]]

CHECK_TIMEOUT_S = 2.0  # a probe's own timeout is usually longer than this


class Readiness(NamedTuple):
    """Whether a process can do its work now, and what each check said: `ok`, what is wrong, or why it cannot."""

    ready: bool
    checks: dict[str, str]


async def examine(checks: Mapping[str, Check]) -> Readiness:
    """Run every check; one fails by raising, or by taking longer than CHECK_TIMEOUT_S."""
    said = await asyncio.gather(*(_run(check) for check in checks.values()))
    results = dict(zip(checks, (word for _, word in said), strict=True))
    return Readiness(all(passed for passed, _ in said), results)


async def _run(check: Check) -> tuple[bool, str]:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            word = await check() or "ok"
    except TimeoutError:
        return False, f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - a check may fail in any way; what it says is the answer
        return False, f"{type(error).__name__}: {error}"
    return True, word
