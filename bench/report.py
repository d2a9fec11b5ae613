"""What a benchmark found: the table that is printed, and the JSON of `docs` and of the contract."""

import json
import math
import os
import platform
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any


@dataclass(frozen=True)
class Measured:
    """One window of load."""

    #: What was done in a second: requests, events, records.
    rate: float
    #: CPU time of the measured process for one of them, in µs; what to trust while others use the machine.
    cpu_us: float
    #: Of requests, in ms; NaN where there are none.
    p99_ms: float = float("nan")


@dataclass(frozen=True)
class Case:
    """Ours beside a peer: medians over windows that took turns."""

    case: str
    us: float
    peer: str
    peer_median: float
    ratio: float
    unit: str
    min: float
    max: float
    #: Of one request, event or record: ours, the peer's, and the peer's over ours (higher is better).
    cpu_us: float
    peer_cpu_us: float
    cpu_ratio: float
    p99_ms: float
    peer_p99_ms: float

    @classmethod
    def of(
        cls, case: str, ours: Sequence[Measured], peer: str, peers: Sequence[Measured], unit: str
    ) -> "Case":
        """A case of two or more windows each."""
        rates = [one.rate for one in ours]
        us, peer_median = median(rates), median(one.rate for one in peers)
        cpu_us, peer_cpu_us = median(one.cpu_us for one in ours), median(one.cpu_us for one in peers)
        return cls(
            case,
            round(us, 1),
            peer,
            round(peer_median, 1),
            round(us / peer_median, 3),
            unit,
            round(min(rates), 1),
            round(max(rates), 1),
            round(cpu_us, 2),
            round(peer_cpu_us, 2),
            round(peer_cpu_us / cpu_us, 3) if cpu_us else 0.0,
            round(median(one.p99_ms for one in ours), 2),
            round(median(one.p99_ms for one in peers), 2),
        )


@dataclass
class Report:
    """The whole result of one benchmark."""

    name: str
    runs: int
    versions: Mapping[str, str]
    cases: list[Case] = field(default_factory=list)
    ratios: dict[str, float] = field(default_factory=dict)
    #: What could not be compared with, and why.
    missing: dict[str, str] = field(default_factory=dict)

    def add(self, case: Case, *, ratio: bool = True) -> None:
        """Add a case; its ratio is one of the promised ones unless `ratio` is false."""
        self.cases.append(case)
        if ratio:
            self.ratios[case.case] = case.ratio

    def write(self, folder: Path) -> Path:
        """Write the JSON; returns where."""
        path = folder / f"{self.name}.json"
        path.write_text(json.dumps(_without_nan(self._document()), indent=2) + "\n")
        return path

    def table(self) -> str:
        """The same for people."""
        head = (
            "case",
            "unit",
            "ours",
            "min",
            "max",
            "peer",
            "theirs",
            "ratio",
            "CPU µs",
            "theirs",
            "CPU ratio",
            "p99 ms",
            "theirs",
        )
        rows = [
            (c.case, c.unit, f"{c.us:,.0f}", f"{c.min:,.0f}", f"{c.max:,.0f}", c.peer, f"{c.peer_median:,.0f}", f"{c.ratio:.2f}",
             f"{c.cpu_us:.1f}", f"{c.peer_cpu_us:.1f}", f"{c.cpu_ratio:.2f}", f"{c.p99_ms:.1f}", f"{c.peer_p99_ms:.1f}")
            for c in self.cases
        ]  # fmt: skip
        widths = [max(len(row[i]) for row in (head, *rows)) for i in range(len(head))]
        lines = [
            "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
            for row in (head, *rows)
        ]
        lines += [f"missing: {name}: {reason}" for name, reason in self.missing.items()]
        return "\n".join(lines)

    def _document(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "at": datetime.now(UTC).isoformat(timespec="seconds"),
            "machine": machine(),
            "versions": {"python": platform.python_version(), **self.versions},
            "runs": self.runs,
            "cases": [asdict(case) for case in self.cases],
            "ratios": self.ratios,
            "missing": self.missing,
        }


def machine() -> dict[str, Any]:
    """What the numbers were measured on, and how busy it was."""
    models = [
        line.partition(":")[2].strip() for line in _lines("/proc/cpuinfo") if line.startswith("model name")
    ]
    return {
        "cpus": len(os.sched_getaffinity(0)),
        "model": models[0] if models else platform.machine(),
        "memory_bytes": os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"),
        "kernel": platform.release(),
        "load_average_1m": round(os.getloadavg()[0], 2),
    }


def versions_of(*distributions: str) -> dict[str, str]:
    """The installed versions of Python packages."""
    return {name: version(name) for name in distributions}


def _lines(path: str) -> list[str]:
    file = Path(path)
    return file.read_text().splitlines() if file.exists() else []


def _without_nan(value: Any) -> Any:
    """NaN is no JSON: null stands for a number that a case does not have."""
    if isinstance(value, dict):
        return {name: _without_nan(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_without_nan(one) for one in value]
    return None if isinstance(value, float) and math.isnan(value) else value
