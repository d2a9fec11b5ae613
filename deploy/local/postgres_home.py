"""PostgreSQL's folder, and the user who owns it: PostgreSQL refuses to run as root."""

import os
import pwd
import re
import shutil
import tempfile
from dataclasses import dataclass
from pathlib import Path

from deploy.local.errors import LocalStackError
from deploy.local.process import Command, run
from deploy.local.state import State

#: Who runs PostgreSQL when we are root: the first of these that the system has.
USERS = ("postgres", "nobody")

#: Where root's data goes when that user cannot reach the state folder. It is kept across a restart of the
#: machine, unlike a folder for temporary files.
ELSEWHERE = Path("/var/lib/signalbox")


@dataclass(frozen=True)
class Home:
    """`data/`, and the password of its owner beside it."""

    folder: Path
    #: The user to run as; None: ourselves.
    user: str | None

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def password(self) -> Path:
        return self.folder / "password"

    def major(self) -> int | None:
        """The version that wrote the data; None when there is none yet."""
        try:
            told = (self.data / "PG_VERSION").read_text().strip()
        except FileNotFoundError:
            return None
        return int(told) if re.fullmatch(r"\d{1,3}", told) else 0

    def write_password(self, password: str) -> None:
        """Make it anew, for the owner's eyes alone."""
        self.password.unlink(missing_ok=True)
        self.password.touch(mode=0o600)
        self.password.write_text(password + "\n")
        _give(self.password, self.user)


def open_home(state: State) -> Home:
    """The home, made when it is not there. Raises LocalStackError.

    `.local/postgres` is the folder itself, or, for root in a place that others cannot enter, a link to one
    under /var/lib.
    """
    place = state.root / "postgres"
    if place.is_symlink() and not place.exists():
        raise state.error(
            place, f"leads to {os.readlink(place)}, which is gone: remove the link to start anew"
        )
    folder = state.folder("postgres").resolve()
    try:
        user = _user_for(folder)
    except KeyError as error:
        raise state.error(folder, f"belongs to a user who has no name here ({error.args[0]})") from error
    if user and not _enters(folder, user):
        folder = _move_away(place, user)
    home = Home(folder, user)
    if home.data.exists() and not home.major():
        raise state.error(home.data, "is no PostgreSQL data folder: its PG_VERSION is missing or damaged")
    return home


def _user_for(folder: Path) -> str | None:
    """Whoever owns the folder already, so that a stack first used by an ordinary user stays that user's.

    Raises KeyError when that is nobody that the system knows.
    """
    if os.geteuid() != 0:
        return None
    owner = folder.stat().st_uid
    if owner != 0:
        return pwd.getpwuid(owner).pw_name
    for user in USERS:
        try:
            pwd.getpwnam(user)
        except KeyError:
            continue
        _give(folder, user)
        return user
    raise LocalStackError("PostgreSQL refuses to run as root, and there is no user postgres or nobody for it")


def _give(path: Path, user: str | None) -> None:
    """Make `path` and all below it that user's."""
    if user is None:
        return
    owner = pwd.getpwnam(user)
    os.chown(path, owner.pw_uid, owner.pw_gid, follow_symlinks=False)
    for folder, folders, files in os.walk(path):
        for name in (*folders, *files):
            os.chown(os.path.join(folder, name), owner.pw_uid, owner.pw_gid, follow_symlinks=False)


def _enters(folder: Path, user: str) -> bool:
    """Whether `user` can work in `folder`: each folder above it has to let others through."""
    probe = Command(["/bin/sh", "-c", 'cd "$1" && test -w .', "sh", str(folder)], {}, Path("/"), user)
    try:
        return run(probe, timeout_s=10.0).returncode == 0
    except OSError as error:
        raise LocalStackError(
            f"PostgreSQL has to run as user {user}, which is not possible: {error}"
        ) from error


def _move_away(place: Path, user: str) -> Path:
    """A home under /var/lib with `place` as a link to it, and what was in `place` moved along."""
    ELSEWHERE.mkdir(mode=0o755, parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=ELSEWHERE))
    for part in place.iterdir():
        shutil.move(part, folder / part.name)
    _give(folder, user)
    place.rmdir()
    place.symlink_to(folder)
    return folder
