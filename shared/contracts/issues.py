"""Issues on Kafka: an error seen for the first time, or again after it was resolved."""

from enum import StrEnum
from typing import Annotated

from msgspec import Meta, Struct

from shared.contracts.events import Instant


class IssueChangeKind(StrEnum):
    """Why somebody may want to know."""

    OPENED = "opened"
    REGRESSED = "regressed"


class IssueChange(Struct, kw_only=True, frozen=True):
    """An issue was opened, or came back after it had been resolved."""

    id: Annotated[str, Meta(description="The issue's UUID.")]
    project: Annotated[str, Meta(description="The project.")]
    change: Annotated[IssueChangeKind, Meta(description="What happened.")]
    title: Annotated[str, Meta(description="The exception's type and message.")]
    culprit: Annotated[str, Meta(description="The function or page that it comes from.")]
    level: Annotated[str, Meta(description="How bad it is.")]
    first_seen: Annotated[Instant, Meta(description="When its first event occurred.")]
    event_id: Annotated[str, Meta(description="The event that did it.")]
