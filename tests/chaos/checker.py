"""What the history and the database say together: pure, and so tested without either.

| Anomaly | Rule |
| --- | --- |
| lost | an acknowledged id is in no raw table of its type |
| doubled | an id is there more than once, or an aggregate counts more than its raw rows |
| uncounted | an aggregate counts less than its raw rows |
| invented | a row's id was never sent |
| unexplained | there was no answer, though ingest was up from the attempt's begin to its end |
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from tests.chaos.history import Attempt, EventType, Request


class Row(NamedTuple):
    """A raw event in the database."""

    type: EventType
    id: str
    #: What it is counted under: a page and a minute, a fingerprint.
    group: str


class Down(NamedTuple):
    """A stretch of the monotonic clock in which ingest could not answer."""

    began: float
    ended: float


@dataclass
class Stored:
    """What the database has of a case."""

    rows: Sequence[Row]
    #: What aggregates count, by type and group.
    counted: Mapping[tuple[EventType, str], int]


@dataclass
class Verdict:
    """What was found."""

    #: Events, and the requests that they came in.
    acknowledged: int = 0
    requests: int = 0
    #: Requests that were never answered with success; their clients know that they may be lost.
    unacknowledged: int = 0
    #: Requests that were sent more than once.
    retried: int = 0
    lost: list[str] = field(default_factory=list)
    doubled: int = 0
    uncounted: int = 0
    invented: list[str] = field(default_factory=list)
    #: Answers other than 2xx, by protocol and status.
    refusals: Counter[str] = field(default_factory=Counter)
    #: Attempts without an answer, by why.
    unanswered: Counter[str] = field(default_factory=Counter)
    unexplained: Counter[str] = field(default_factory=Counter)
    #: Of every answer: when its request was sent, and how long it took, in seconds.
    answers: list[tuple[float, float]] = field(default_factory=list)

    def quantile_s(self, q: float, since: float = 0.0, until: float = float("inf")) -> float:
        """How long answers took to what was sent in a stretch of the monotonic clock; 0 when there were none."""
        took = sorted(took for began, took in self.answers if since <= began < until)
        return took[min(len(took) - 1, int(q * len(took)))] if took else 0.0

    def problems(self) -> list[str]:
        """What breaks a promise, in words; nothing when all are kept."""
        sentry = {text: count for text, count in self.refusals.items() if text.startswith("sentry")}
        broken = {
            "acknowledged events lost": len(self.lost),
            "events stored or counted twice": self.doubled,
            "stored events not counted": self.uncounted,
            "events invented": len(self.invented),
            **{f"answers {text} to Sentry clients": count for text, count in sentry.items()},
            **{f"attempts {text} while ingest was up": count for text, count in self.unexplained.items()},
        }
        found = [f"{count} {what}" for what, count in broken.items() if count]
        return found if self.acknowledged else [*found, "nothing was acknowledged"]


def check(requests: Iterable[Request], stored: Stored, down: Sequence[Down]) -> Verdict:
    """Compare what was promised with what is there."""
    verdict = Verdict()
    rows = Counter((row.type, row.id) for row in stored.rows)
    sent: set[tuple[EventType, str]] = set()
    for request in requests:
        verdict.requests += 1
        verdict.retried += len(request.attempts) > 1
        keys = [(item.type, item.id) for item in request.items]
        sent.update(keys)
        if request.is_acknowledged:
            verdict.acknowledged += len(keys)
            verdict.lost += [id for type, id in keys if not rows[type, id]]
        else:
            verdict.unacknowledged += 1
        for attempt in request.attempts:
            if attempt.error:
                verdict.unanswered[attempt.error] += 1
                if not _explained(attempt, down):
                    verdict.unexplained[attempt.error] += 1
                continue
            verdict.answers.append((attempt.began, attempt.ended - attempt.began))
            if not attempt.is_acknowledged:
                verdict.refusals[f"{request.protocol} {attempt.status}"] += 1
    verdict.invented = [id for type, id in rows if (type, id) not in sent]
    verdict.doubled = sum(count - 1 for count in rows.values())
    _compare_counts(verdict, stored)
    return verdict


def _compare_counts(verdict: Verdict, stored: Stored) -> None:
    raw = Counter((row.type, row.group) for row in stored.rows)
    for key in raw.keys() | stored.counted.keys():
        difference = stored.counted.get(key, 0) - raw[key]
        verdict.doubled += max(0, difference)
        verdict.uncounted += max(0, -difference)


def _explained(attempt: Attempt, down: Sequence[Down]) -> bool:
    """Whether ingest was down at some moment of the attempt; a timeout is a failure of its own whatever the reason."""
    return attempt.error != "timeout" and any(
        attempt.began < stretch.ended and attempt.ended > stretch.began for stretch in down
    )
