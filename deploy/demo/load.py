"""loadgen's `light`, as anybody would run it."""

import asyncio
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec

from deploy.local.settings import PROJECT
from shared.contracts.load_tests import LoadTestResult


async def light(environment: Mapping[str, str], folder: Path) -> tuple[int, LoadTestResult | None]:
    """Run the scenario; returns loadgen's exit status, and its result where it wrote one."""
    output = folder / "light.json"
    output.unlink(missing_ok=True)
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "services.loadgen",
        "run",
        "light",
        "--target",
        environment["INGEST_URL"],
        "--json",
        str(output),
        "--fail-on",
        "errors<1%",
        cwd=PROJECT,
        env=dict(environment),
    )
    status = await process.wait()
    return status, msgspec.json.decode(output.read_bytes(), type=LoadTestResult) if output.exists() else None
