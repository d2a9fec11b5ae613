"""How much a key may send: so many items of a category a minute, and the first one over it is refused.

The rule is GCRA, the leaky bucket that needs one number a bucket: the time at which what was let in so far would
have arrived at an even pace. A bucket holds a minute's worth, so a key may send that at once and then has to wait.
Buckets live in one process: each of several workers enforces its share of a limit, and the kernel spreads
connections over them, so that one connection alone gets no more than one share.
"""

import math
import time
from collections.abc import Callable, Mapping
from enum import StrEnum
from http import HTTPStatus

from shared.errors import RequestError

_WINDOW_S = 60


class Category(StrEnum):
    """What is limited apart from each other, so that a storm of metrics does not keep an error out."""

    ERROR = "error"
    METRIC = "metric"
    PAGE_VIEW = "page_view"
    EVENT = "event"
    JOB = "job"
    CHANGE = "change"
    #: Requests of any kind, counted before their bodies are read.
    REQUEST = "request"


class RateLimited(RequestError):
    """The key has sent more than its limit; `retry_after_s` says when there is room for one item again."""

    status = HTTPStatus.TOO_MANY_REQUESTS


class KeyRates:
    """The buckets of one key. `limits` says how many items of a category are let in a minute; 0, or none, is no limit.

    `share` is the part of every limit that is this process's.
    """

    def __init__(
        self,
        limits: Mapping[Category, int],
        *,
        share: float = 1.0,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        self._now = now
        self._due: dict[Category, float] = {}
        self.change(limits, share=share)

    def change(self, limits: Mapping[Category, int], *, share: float = 1.0) -> None:
        """Other limits from now on; what was let in before still counts."""
        self._limits = {category: limit for category, limit in limits.items() if limit > 0}
        self._interval_s = {
            category: _WINDOW_S / max(limit * share, 1) for category, limit in self._limits.items()
        }

    def spend(self, category: Category, items: int = 1) -> int:
        """Let in as many of `items` as there is room for, and return how many those are."""
        interval_s = self._interval_s.get(category)
        if interval_s is None:
            return items
        now = self._now()
        due = max(self._due.get(category, now), now)
        # The part of a billionth keeps what is exactly full from counting as over it.
        room = max(int((now + _WINDOW_S - due) / interval_s + 1e-9), 0)
        admitted = min(items, room)
        self._due[category] = due + admitted * interval_s
        return admitted

    def require(self, category: Category) -> None:
        """Let one in. Raises RateLimited."""
        if self.spend(category) == 0:
            raise self.refusal(category)

    def refusal(self, category: Category) -> RateLimited:
        """What to answer when nothing could be let in, with the fields of the IETF's RateLimit draft."""
        limit, wait_s = self._limits[category], self.wait_s(category)
        error = RateLimited(self.reason(category), retry_after_s=wait_s)
        error.headers = {
            "RateLimit-Policy": f'"{category}";q={limit};w={_WINDOW_S}',
            "RateLimit": f'"{category}";r=0;t={wait_s}',
        }
        return error

    def reason(self, category: Category) -> str:
        """Why an item was not let in, for people."""
        return f"This key may send {self._limits[category]} of category `{category}` a minute, and has."

    def wait_s(self, category: Category) -> int:
        """Whole seconds until there is room for one item; 0 when there is."""
        interval_s = self._interval_s.get(category)
        if interval_s is None:
            return 0
        now = self._now()
        wait_s = self._due.get(category, now) + interval_s - (now + _WINDOW_S)
        return math.ceil(wait_s) if wait_s > 1e-9 else 0

    def exhausted(self) -> dict[Category, int]:
        """The categories without room for one item, and the seconds until there is: for X-Sentry-Rate-Limits."""
        waits = {category: self.wait_s(category) for category in self._limits}
        return {category: wait_s for category, wait_s in waits.items() if wait_s}


#: No limits: for tests and for tools that have no key.
UNLIMITED = KeyRates({})
