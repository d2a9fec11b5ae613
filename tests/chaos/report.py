"""What a run found: the table that is printed, and `chaos.json` as the contract has it."""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any


@dataclass(frozen=True)
class Case:
    """One nemesis and what came of it. The first seven fields are the contract's."""

    case: str
    #: Events that were answered with success.
    acknowledged: int
    #: Of these, events that are not stored.
    lost: int
    #: Events that are stored, or counted, more than once.
    doubled: int
    #: Old values that were read after newer ones; only caches can.
    stale: int
    #: From the first request until all was stored.
    seconds: float
    passed: bool
    #: Why it did not pass.
    problems: list[str] = field(default_factory=list)
    #: What else was seen, by names that say their units.
    figures: dict[str, Any] = field(default_factory=dict)
    #: What was done, to whom, and what proves it.
    faults: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Report:
    """A run of one or more parts."""

    seed: int
    #: With times scaled down.
    quick: bool
    cases: Sequence[Case]

    @property
    def passed(self) -> bool:
        return bool(self.cases) and all(case.passed for case in self.cases)

    def write(self, path: Path) -> None:
        """Put the JSON there."""
        document = {
            "name": "chaos",
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "seed": self.seed,
            "quick": self.quick,
            "cases": [asdict(case) for case in self.cases],
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(document, indent=2) + "\n")

    def table(self) -> str:
        """The same for people."""
        head = ("case", "acknowledged", "lost", "doubled", "stale", "seconds", "faults", "passed")
        rows = [
            (
                case.case,
                f"{case.acknowledged:,}",
                f"{case.lost:,}",
                f"{case.doubled:,}",
                f"{case.stale:,}",
                f"{case.seconds:.0f}",
                f"{len(case.faults)}",
                "yes" if case.passed else "NO",
            )
            for case in self.cases
        ]
        widths = [max(len(row[column]) for row in (head, *rows)) for column in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in (head, *rows)
        ]
        for case in self.cases:
            lines.append(f"\n{case.case}")
            lines += [f"  {name.replace('_', ' ')}: {_told(value)}" for name, value in case.figures.items()]
            lines += [f"  NOT AS PROMISED: {problem}" for problem in case.problems]
        return "\n".join(line.rstrip() for line in lines)


def _told(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{name} {_told(one)}" for name, one in value.items()) or "none"
    return f"{value:,}" if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
