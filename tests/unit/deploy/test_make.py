"""The Makefile's list, and what the set-up says on a machine that lacks something."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from deploy.local.settings import PROJECT

#: Those that the contract names, and those that go with them.
TARGETS = [
    "setup",
    "demo",
    "test",
    "up",
    "down",
    "status",
    "logs",
    "lint",
    "docs",
    "lock",
    "bench",
    "chaos",
    "images",
    "k8s-check",
]


def test_plain_make_lists_every_target_with_what_it_does() -> None:
    environ = {name: value for name, value in os.environ.items() if not name.startswith("MAKE")}
    printed = subprocess.run(["make"], cwd=PROJECT, env=environ, capture_output=True, text=True, check=True)
    listed = {line.split()[1]: line.split()[2:] for line in printed.stdout.splitlines()}
    assert set(TARGETS) <= set(listed)
    assert all(listed.values())


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A fresh clone, as far as the set-up looks at it, on a machine with next to no programs."""
    (tmp_path / "deploy").mkdir()
    (tmp_path / "requirements").mkdir()
    (tmp_path / "bin").mkdir()
    shutil.copy(PROJECT / "deploy" / "setup.sh", tmp_path / "deploy")
    (tmp_path / "requirements" / "dev.txt").write_text("")
    for name in ("cksum", "dirname", "cat", "cut", "grep"):
        (tmp_path / "bin" / name).symlink_to(shutil.which(name) or f"/usr/bin/{name}")
    return tmp_path


def python(folder: Path, script: str) -> None:
    """Put a `python3` on that machine."""
    (folder / "bin" / "python3").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "bin" / "python3").chmod(0o755)


def set_up(folder: Path) -> "subprocess.CompletedProcess[str]":
    environ = {"PATH": str(folder / "bin")}
    return subprocess.run(
        ["/bin/sh", "deploy/setup.sh"], cwd=folder, env=environ, capture_output=True, text=True, check=False
    )


def test_without_python_the_set_up_says_so_in_one_line(folder: Path) -> None:
    done = set_up(folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.11 or newer is needed" in done.stderr


def test_an_old_python_is_named(folder: Path) -> None:
    python(folder, '[ "$1" = -V ] && echo Python 3.9.2 || exit 1')
    done = set_up(folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "Python 3.9.2" in done.stderr


def test_a_python_without_venv_is_told_how_to_get_it(folder: Path) -> None:
    python(folder, 'case "$2" in *venv*) exit 1;; esac')
    done = set_up(folder)
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "apt-get install python3-venv" in done.stderr
