"""The ends of the logs, and what comes after."""

import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.process import last_lines
from deploy.local.state import State

#: How often `follow` looks for more.
LOOK_AGAIN_S = 0.3


def of(state: State, name: str | None) -> list[Path]:
    """The log of `name`, or all of them. Raises LocalStackError when there is no such log."""
    there = sorted(state.logs.glob("*.log"))
    if name is None:
        chosen = [log for log in there if not log.stem.endswith(".old")]
    else:
        chosen = [log for log in there if log.stem == name]
    if not chosen:
        names = ", ".join(log.stem for log in there)
        what = f"no log of {name} in {state.logs}" if name else f"no logs in {state.logs}"
        raise LocalStackError(what + (f" (there are: {names})" if names else ": make up makes them"))
    return chosen


def ends(logs: Sequence[Path], count: int) -> Iterator[str]:
    """The last lines of each log, under its path."""
    for log in logs:
        yield f"==> {log} <=="
        yield from last_lines(log, count)
        yield ""


def follow(logs: Sequence[Path]) -> Iterator[str]:
    """Each line that is added from now on, for ever, with its log's name before it when there are several."""
    seen = {log: log.stat().st_size for log in logs}
    rest = dict.fromkeys(logs, b"")
    while True:
        for log in logs:
            size = log.stat().st_size if log.exists() else 0
            if size < seen[log]:  # it was put aside and begun anew
                seen[log] = 0
            if size == seen[log]:
                continue
            with log.open("rb") as file:
                file.seek(seen[log])
                added = file.read(1 << 20)
            seen[log] += len(added)
            *lines, rest[log] = (rest[log] + added).split(b"\n")
            for line in lines:
                text = line.decode("utf-8", "replace")
                yield f"{log.stem:<11} {text}" if len(logs) > 1 else text
        time.sleep(LOOK_AGAIN_S)
