"""When a failed attempt is followed by another: pure, but for the jitter."""

import random
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How one job type is tried."""

    #: Attempts in all, unless the request names another number (contract.md).
    max_attempts: int = 3
    #: How long one attempt may take.
    timeout_s: float = 60.0
    #: The pause after the first failure; it doubles from there.
    backoff_s_min: float = 1.0
    #: No pause is longer.
    backoff_s_max: float = 600.0

    def pause_s(self, attempt: int, retry_after_s: float | None = None) -> float:
        """The pause after attempt number `attempt` (1 for the first) failed.

        Half of it is jitter, so that jobs which failed together do not come back together. What the other side
        asked for with `Retry-After` is a lower bound.
        """
        longest = min(self.backoff_s_max, self.backoff_s_min * 2.0 ** (attempt - 1))
        pause = random.uniform(longest / 2, longest)  # noqa: S311 - jitter, no secret
        return max(pause, min(retry_after_s or 0.0, self.backoff_s_max))
