"""The checked-in `monitoring.js` is what its source builds to, and small enough for every page."""

import gzip
import json
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]
SOURCE = ROOT / "clients/browser"
BUILT = ROOT / "services/ingest/web/monitoring.js"
GZIPPED_BYTES_MAX = 6 * 1024


def test_it_is_under_6_kb_gzipped() -> None:
    assert len(gzip.compress(BUILT.read_bytes(), 9)) < GZIPPED_BYTES_MAX


def test_its_banner_names_its_version_and_the_licence_of_web_vitals() -> None:
    version = json.loads((SOURCE / "package.json").read_text())["version"]
    banner = BUILT.read_text().splitlines()[0]
    assert f"monitoring.js {version};" in banner
    assert "web-vitals" in banner
    assert "Apache-2.0" in banner


def test_the_lock_file_pins_hashes_and_names_no_registry() -> None:
    lock = json.loads((SOURCE / "package-lock.json").read_text())
    packages = {name: entry for name, entry in lock["packages"].items() if name}
    assert all("integrity" in entry and "resolved" not in entry for entry in packages.values())


@pytest.mark.skipif(not (shutil.which("npm") and shutil.which("node")), reason="needs Node.js and npm")
def test_the_built_file_is_the_sources(tmp_path: Path) -> None:
    project = tmp_path / "browser"
    shutil.copytree(SOURCE, project, ignore=shutil.ignore_patterns("node_modules"))
    built = tmp_path / "monitoring.js"

    _run(["npm", "ci", "--no-progress"], project)
    _run(["npm", "run", "check"], project)
    _run(["npm", "run", "build", "--", str(built)], project)

    assert built.read_bytes() == BUILT.read_bytes(), "run `npm ci && npm run build` in clients/browser"


def _run(command: list[str], folder: Path) -> None:
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, f"{' '.join(command)}:\n{done.stdout}{done.stderr}"
