"""Envelopes as SDKs sent them: recorded from sentry-sdk 2.75.0, @sentry/node and @sentry/browser 8.55.2 and 11.12.0.

`tests/e2e/real_clients` holds the programs that sent them; only the folder they ran in was replaced.
"""

from pathlib import Path
from typing import TypeVar

from services.ingest.sentry import envelope, items
from services.ingest.sentry.items import Read
from shared.contracts.events import Event

FOLDER = Path(__file__).with_name("recorded")
NAMES = sorted(path.stem for path in FOLDER.glob("*.envelope"))
CHROME = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 Chrome/156.0.0.0 Safari/537.36"

E = TypeVar("E", bound=Event)


def recorded(name: str) -> bytes:
    """An envelope's bytes, decompressed."""
    return (FOLDER / f"{name}.envelope").read_bytes()


def read(name: str) -> Read:
    """What is read of a recorded envelope."""
    return items.read(envelope.parse(recorded(name)), user_agent=CHROME if name.startswith("browser") else "")


def events(name: str, type: type[E]) -> list[E]:
    """The events of one type in a recorded envelope."""
    found = read(name)
    assert not found.flaws
    return [event for event in found.events if isinstance(event, type)]
