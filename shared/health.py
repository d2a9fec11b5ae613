"""Readiness: named checks, run side by side, each within a time limit."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from typing import NamedTuple

Check = Callable[[], Awaitable[None]]

CHECK_TIMEOUT_S = 2.0  # a probe's own timeout is usually longer than this


class Readiness(NamedTuple):
    """Whether a process can do its work now, and what each check said: `ok`, or why not."""

    ready: bool
    checks: dict[str, str]


async def examine(checks: Mapping[str, Check]) -> Readiness:
    """Run every check; one fails by raising, or by taking longer than CHECK_TIMEOUT_S."""
    said = await asyncio.gather(*(_run(check) for check in checks.values()))
    results = dict(zip(checks, said, strict=True))
    return Readiness(all(word == "ok" for word in said), results)


async def _run(check: Check) -> str:
    try:
        async with asyncio.timeout(CHECK_TIMEOUT_S):
            await check()
    except TimeoutError:
        return f"no answer within {CHECK_TIMEOUT_S:g} s"
    except Exception as error:  # noqa: BLE001 - a check may fail in any way; what it says is the answer
        return f"{type(error).__name__}: {error}"
    return "ok"
