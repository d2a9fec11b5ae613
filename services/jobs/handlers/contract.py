"""What a handler is, what it is given and what it may raise.

A handler returns its result, which is stored as JSON. It raises `TryAgain` (or any exception) to be tried again by
its policy, and `Permanent` when no further attempt can help. It may run more than once for a job: what it does is
keyed by the job's id, so that the second time changes nothing.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar

import msgspec

from services.jobs.mail import Mailer
from services.jobs.retry import RetryPolicy
from services.jobs.settings import JobsSettings
from services.jobs.store.database import Database
from shared.errors import Permanent, Retryable

P = TypeVar("P", bound=msgspec.Struct)


class TryAgain(Retryable):
    """The attempt failed for now; `retry_after_s` is what the other side asked for."""

    def __init__(self, reason: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(reason)
        self.retry_after_s = retry_after_s


@dataclass(frozen=True, slots=True)
class Tools:
    """What handlers work with, the same for every job."""

    database: Database
    mailer: Mailer
    settings: JobsSettings


@dataclass(frozen=True, slots=True)
class Context:
    """What one attempt knows about itself."""

    job_id: str
    project: str
    attempt: int
    tools: Tools


@dataclass(frozen=True, slots=True)
class Handler(Generic[P]):
    """One job type: the shape of its payload, the work, and how it is tried."""

    payload: type[P]
    work: Callable[[P, Context], Awaitable[dict[str, Any]]]
    policy: RetryPolicy = field(default_factory=RetryPolicy)

    async def run(self, payload: dict[str, Any], context: Context) -> dict[str, Any]:
        """Raises Permanent when the payload is not what this type needs, and whatever the work raises."""
        try:
            typed = msgspec.convert(payload, self.payload)
        except msgspec.ValidationError as error:
            raise Permanent(f"payload: {error}") from error
        return await self.work(typed, context)
