"""Load from wrk (Debian package `wrk`), an HTTP generator in C that needs little of a core itself."""

import json
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.report import Measured
from bench.runs import cpu_seconds
from deploy.local.errors import LocalStackError

#: Sends one body of a file after the other, and prints what it saw as JSON on its last line.
_SCRIPT = """
local requests, at = {}, 0
init = function(args)
  for line in io.lines(args[1]) do
    requests[#requests + 1] = wrk.format(args[2], args[3], wrk.headers, line)
  end
end
request = function()
  at = at % #requests + 1
  return requests[at]
end
done = function(summary, latency, each)
  local e = summary.errors
  print(string.format('{"requests":%d,"seconds":%f,"refused":%d,"broken":%d,"p99_ms":%f}', summary.requests,
    summary.duration / 1e6, e.status, e.connect + e.read + e.write + e.timeout, latency:percentile(99) / 1e3))
end
"""


class WrkMissing(Exception):
    """The program is not installed."""


@dataclass(frozen=True)
class Wrk:
    """Load on one URL."""

    url: str
    path: str
    #: One request body a line.
    bodies: Path
    headers: Mapping[str, str]
    #: Where it runs.
    cores: frozenset[int]
    connections: int = 64
    #: Of one request: what `rate` counts.
    events: int = 1

    def measure(self, seconds: float, pids: Sequence[int], *, refused: bool = False) -> Measured:
        """Load for so long; `pids` are the server's. Raises LocalStackError when requests fail.

        With `refused` answers of 4xx and 5xx are expected, and counted as any other.
        """
        before = cpu_seconds(pids)
        seen = self._run(seconds)
        used = cpu_seconds(pids) - before
        if seen["broken"] or (seen["refused"] and not refused) or not seen["requests"]:
            raise LocalStackError(f"{self.url}{self.path} under load: {seen}")
        done = seen["requests"] * self.events
        return Measured(done / seen["seconds"], used / done * 1e6, seen["p99_ms"])

    def _run(self, seconds: float) -> dict[str, float]:
        script = self.bodies.with_suffix(".lua")
        script.write_text(_SCRIPT)
        headers = [part for name, value in self.headers.items() for part in ("-H", f"{name}: {value}")]
        command = [
            *("taskset", "-c", ",".join(str(core) for core in sorted(self.cores))),
            *(program(), "-t", "1", "-c", str(self.connections), "-d", f"{max(1, round(seconds))}s"),
            *("-s", str(script), *headers, self.url, "--", str(self.bodies), "POST", self.path),
        ]
        done = subprocess.run(command, capture_output=True, text=True, timeout=seconds + 60, check=False)
        if done.returncode:
            raise LocalStackError(f"wrk failed: {done.stderr.strip() or done.stdout.strip()}")
        result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
        return result


def program() -> str:
    """Where wrk is. Raises WrkMissing."""
    found = shutil.which("wrk")
    if found is None:
        raise WrkMissing("wrk is not installed (Debian: apt-get install wrk)")
    return found
