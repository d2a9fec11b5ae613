"""What runs, as `make status` shows it."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from deploy.local import process, services
from deploy.local.ports import accepts
from deploy.local.process import Running
from deploy.local.settings import Settings
from deploy.local.stack import FOUNDATION
from deploy.local.state import State


@dataclass(frozen=True)
class Row:
    """One process of the stack."""

    name: str
    pid: int | None
    port: int | None
    #: `ready`, `not ready` (it runs and does not answer), `died` (nobody stopped it) or `stopped`.
    state: str
    memory_bytes: int | None
    log: Path


def rows(settings: Settings) -> list[Row]:
    """Every process that belongs to the stack, running or not, and any further one that it has started."""
    state = State(settings.state_dir)
    expected = [*FOUNDATION, *(service.name for service in services.all_of(settings, {}))]
    found = sorted(path.stem for path in state.run.glob("*.json"))
    return [_row(state, name) for name in [*expected, *(name for name in found if name not in expected)]]


def table(rows: Sequence[Row]) -> str:
    """The rows for people, with a line of headings."""
    lines = [("NAME", "PID", "PORT", "STATE", "MEMORY", "LOG")]
    for row in rows:
        memory = f"{row.memory_bytes / 2**20:.0f} MiB" if row.memory_bytes is not None else "-"
        log = str(row.log) if row.log.exists() else "-"
        lines.append((row.name, str(row.pid or "-"), str(row.port or "-"), row.state, memory, log))
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip()
        for line in lines
    )


def _row(state: State, name: str) -> Row:
    log = state.log(name)
    found = Running.read(state.run / f"{name}.json")
    if found is None:
        return Row(name, None, None, "stopped", None, log)
    port = found.ports[0] if found.ports else None
    if not found.is_alive() or found.is_ending():
        return Row(name, None, port, "died", None, log)
    ready = "ready" if port is None or _answers(name, port) else "not ready"
    return Row(name, found.pid, port, ready, process.memory_bytes(found.pid), log)


def _answers(name: str, port: int) -> bool:
    if name.split("-")[0] in services.MODULES:
        return services.answers(f"http://127.0.0.1:{port}/readyz")
    return accepts(port)
