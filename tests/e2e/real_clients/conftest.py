"""What the tests here share: addresses for clients, and the packages of the Node.js programs."""

import shutil
import subprocess

import pytest

from tests.e2e.real_clients.programs import FOLDER
from tests.support.stacks import PUBLIC_KEY, SECRET_KEY

_INSTALLS_WITHIN_S = 600.0


@pytest.fixture(scope="session")
def dsn(ingest_url: str) -> dict[str, str]:
    """The variable that Sentry's SDKs read."""
    return {"SENTRY_DSN": f"{ingest_url.replace('://', f'://{PUBLIC_KEY}@', 1)}/1"}


@pytest.fixture(scope="session")
def otlp(ingest_url: str) -> dict[str, str]:
    """The variables that OpenTelemetry's exporters read."""
    return {
        "OTEL_EXPORTER_OTLP_ENDPOINT": ingest_url,
        "OTEL_EXPORTER_OTLP_HEADERS": f"Authorization=Bearer%20{SECRET_KEY}",
    }


@pytest.fixture(scope="session")
def node() -> str:
    """Node.js, with the packages of the lock file; they are installed when they are not there yet."""
    node, npm = shutil.which("node"), shutil.which("npm")
    if node is None or npm is None:
        pytest.skip("needs Node.js and npm")
    lock, installed = FOLDER / "package-lock.json", FOLDER / "node_modules" / ".package-lock.json"
    if not installed.exists() or installed.stat().st_mtime < lock.stat().st_mtime:
        done = subprocess.run(
            [npm, "ci", "--no-progress"],
            cwd=FOLDER,
            check=False,
            capture_output=True,
            text=True,
            timeout=_INSTALLS_WITHIN_S,
        )
        if done.returncode != 0:
            pytest.skip(f"npm could not install the clients: {done.stderr.strip().splitlines()[-1]}")
    return node
