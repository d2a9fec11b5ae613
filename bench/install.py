"""What a benchmark compares with is installed by itself, in the bench's folder, and once."""

import os
import shutil
import subprocess
from pathlib import Path

from deploy.local.settings import PROJECT

_INSTALL_TIMEOUT_S = 600.0


class PeerMissing(Exception):
    """A peer cannot be had on this machine; the text says why."""


def node(folder: Path) -> list[str]:
    """fastify and kafkajs from npm; the command that serves, but for the port. Raises PeerMissing."""
    home = _copy("fastify", folder)
    if not (home / "node_modules" / "fastify").is_dir():
        _run(["npm", "install", "--no-audit", "--no-fund", "--loglevel=error"], home)
    return ["node", str(home / "server.mjs")]


def gateway(folder: Path) -> list[str]:
    """The Go gateway, compiled; the command that serves, but for the port. Raises PeerMissing."""
    home = _copy("gateway", folder)
    _run(["go", "mod", "tidy"], home)
    _run(["go", "build", "-o", "gateway", "."], home)
    return [str(home / "gateway")]


def _copy(name: str, folder: Path) -> Path:
    home = folder / name
    shutil.copytree(PROJECT / "bench" / "peers" / name, home, dirs_exist_ok=True)
    return home


def _run(command: list[str], folder: Path) -> None:
    if shutil.which(command[0]) is None:
        raise PeerMissing(f"{command[0]} is not installed")
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            env={**os.environ, "GOFLAGS": "-mod=mod"},
            capture_output=True,
            text=True,
            timeout=_INSTALL_TIMEOUT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"`{' '.join(command)}` took over {_INSTALL_TIMEOUT_S:g} s") from None
    if done.returncode:
        last = (done.stderr.strip() or done.stdout.strip()).splitlines()[-1:]
        raise PeerMissing(f"`{' '.join(command)}` failed: {' '.join(last)[:200]}")
