"""The peer that has no HTTP: `bench.peers.producer`, a window at a time."""

import subprocess
import sys
from pathlib import Path

from bench.bench import Bench
from bench.report import Measured
from bench.runs import Window
from deploy.local.errors import LocalStackError
from deploy.local.settings import PROJECT


def producing(bench: Bench, bodies: Path, kind: str) -> Window:
    """Windows of a producer on the server's core, in a process of its own; `kind` is `full` or `plain`."""
    core = ",".join(str(one) for one in sorted(bench.cores.server))
    command = ["taskset", "-c", core, sys.executable, "-m", "bench.peers.producer", str(bodies), kind]

    def window(seconds: float) -> Measured:
        done = subprocess.run(
            [*command, str(seconds)],
            cwd=PROJECT,
            env={"PATH": "/usr/bin:/bin", **bench.kafka.environment},
            capture_output=True,
            text=True,
            timeout=seconds + 60,
            check=False,
        )
        if done.returncode:
            raise LocalStackError(f"the producer failed: {done.stderr.strip().splitlines()[-1:]}")
        records, taken, cpu = (float(word) for word in done.stdout.split())
        return Measured(records / taken, cpu / records * 1e6)

    return window
