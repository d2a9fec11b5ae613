"""How a benchmark is run: how long, how often, in which folder, on which cores."""

import os
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import Measured

Window = Callable[[float], Measured]


@dataclass(frozen=True)
class Runs:
    """The choices of the command line."""

    #: Results, and what the benchmark installs for itself.
    folder: Path
    #: One measurement, in seconds; a quarter of it before, to warm up.
    window_s: float
    #: Windows of each side, of which the median counts.
    count: int
    #: The cases to run; empty: all.
    only: frozenset[str]

    def wants(self, case: str) -> bool:
        """Whether a case is to be run."""
        return not self.only or case in self.only

    def side_by_side(self, windows: Sequence[Window]) -> list[list[Measured]]:
        """Measurements of each window; they take turns, so that a busy moment of the machine hits all."""
        for window in windows:
            window(self.window_s / 4)
        rounds = [[window(self.window_s) for window in windows] for _ in range(self.count)]
        return [list(side) for side in zip(*rounds, strict=True)]


@dataclass(frozen=True)
class Cores:
    """Where processes run: the measured server has one core to itself, load and broker have the others."""

    server: frozenset[int]
    others: frozenset[int]
    all: frozenset[int]

    @classmethod
    def of_the_machine(cls) -> "Cores":
        """One core for both where there is but one."""
        first, *rest = sorted(os.sched_getaffinity(0))
        return cls(frozenset({first}), frozenset(rest or [first]), frozenset({first, *rest}))


def pin(pid: int, cores: frozenset[int]) -> None:
    """Let a process, with all of its threads, run on these cores only."""
    for task in Path(f"/proc/{pid}/task").iterdir():
        os.sched_setaffinity(int(task.name), cores)


def cpu_seconds(pids: Sequence[int]) -> float:
    """CPU time that these processes have used, in user and system mode."""
    ticks = 0
    for pid in pids:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])  # utime and stime: proc(5)
    return ticks / os.sysconf("SC_CLK_TCK")
