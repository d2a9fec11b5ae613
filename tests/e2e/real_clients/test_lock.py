"""The lock file of the Node.js programs."""

import json

from tests.e2e.real_clients.programs import FOLDER


def test_it_pins_hashes_and_names_no_registry() -> None:
    lock = json.loads((FOLDER / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())
