"""PostgreSQL: a cluster of its own, on the loopback address only, with a password made once."""

import asyncio
import os
import secrets
import shutil
import signal
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import asyncpg

from deploy.local import postgres_binaries, process
from deploy.local.errors import LocalStackError
from deploy.local.ports import Port
from deploy.local.postgres_binaries import Binaries
from deploy.local.postgres_home import Home, open_home
from deploy.local.process import Command
from deploy.local.server import Say
from deploy.local.state import State

ROLE = DATABASE = "signalbox"

#: How long a server that is asked to stop may take.
GRACE_S = 30.0
#: How long the children of a killed server may take: nobody waits for their answers any more.
CHILD_GRACE_S = 3.0

SETTINGS = {
    "listen_addresses": "127.0.0.1",
    "unix_socket_directories": "",  # a socket's path may have 107 bytes at most, a project's folder has any
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_line_prefix": "%m [%p] ",
    "shared_buffers": "64MB",
    "max_connections": "100",
}


@dataclass(frozen=True)
class Postgres:
    """Keeps what it acknowledged: fsync and synchronous commit stay on, as PostgreSQL has them."""

    state: State
    port: Port
    environ: Mapping[str, str]
    #: The folder of the binaries that the user named, if any.
    chosen: Path | None = None

    name = "postgres"
    kind = ""
    stop_signal = int(signal.SIGINT)  # "fast": SIGTERM would wait until the last client has gone
    grace_s = GRACE_S
    ready_within_s = 60.0

    @property
    def ports(self) -> list[Port]:
        return [self.port]

    @property
    def title(self) -> str:
        return f"PostgreSQL {self._binaries.version}"

    def dsn(self) -> str:
        """The address with the password; the cluster has to be there."""
        return f"postgresql://{ROLE}:{self._password}@127.0.0.1:{self.port.number}/{DATABASE}"

    def ended(self, clean: bool) -> None:
        end_leftovers((self.state.root / "postgres").resolve() / "data")

    def prepare(self, say: Say) -> None:
        if self._home.folder.parent != self.state.root.resolve():
            say(f"postgres    runs as user {self._home.user}: its data is in {self._home.folder}")
        if not self._home.data.exists():
            self._initialise()
        self.dsn()  # if it cannot be known, better now than when the server runs

    def command(self) -> Command:
        argv = [str(self._binaries.folder / "postgres"), "-D", str(self._home.data)]
        argv += ["-p", str(self.port.number)]
        for name, value in SETTINGS.items():
            argv += ["-c", f"{name}={value}"]
        return Command(argv, self._environment, self._home.folder, self._home.user)

    def is_ready(self) -> bool:
        return asyncio.run(self._answers())

    def complete(self) -> None:
        asyncio.run(self._create_database())

    @cached_property
    def _home(self) -> Home:
        return open_home(self.state)

    @cached_property
    def _binaries(self) -> Binaries:
        usable = postgres_binaries.usable(self.chosen, self.environ)
        major = self._home.major()
        found = next((one for one in usable if major in (None, one.major)), None)
        if found is None:
            there = ", ".join(str(one.major) for one in usable)
            problem = f"was written by PostgreSQL {major}, and installed here is {there}"
            raise self.state.error(self._home.data, problem)
        if not found.can_be_run_by(self._home.user):
            if not found.from_wheel:
                raise LocalStackError(
                    f"{found.folder}: user {self._home.user} may not run PostgreSQL from there"
                )
            found = found.copied_to(self._home.folder / "server")
        return found

    @cached_property
    def _password(self) -> str:
        try:
            return self._home.password.read_text().strip()
        except FileNotFoundError as error:
            raise self.state.error(self._home.password, "the database's password is gone") from error

    @property
    def _environment(self) -> dict[str, str]:
        """Nothing of the caller's: a stray PGPORT or LC_MESSAGES would change what the server does."""
        return {"PATH": self.environ.get("PATH", ""), "LC_ALL": "C"}

    def _initialise(self) -> None:
        """Make the cluster beside its place and move it there when it is whole."""
        fresh = self._home.folder / "data.new"
        shutil.rmtree(fresh, ignore_errors=True)
        self._home.write_password(secrets.token_hex(16))
        argv = [str(self._binaries.folder / "initdb"), f"--pgdata={fresh}", f"--username={ROLE}"]
        argv += [f"--pwfile={self._home.password}", "--auth=scram-sha-256", "--encoding=UTF8"]
        argv += ["--no-locale"]  # the same order of texts on every system
        argv += ["--data-checksums", "--no-instructions"]
        command = Command(argv, self._environment, self._home.folder, self._home.user)
        made = process.run(command, timeout_s=120.0)
        with self.state.log(self.name).open("a") as log:
            log.write(made.stdout + made.stderr)
        if made.returncode:
            reason = (made.stderr or made.stdout).strip().splitlines() or ["it gave no reason"]
            raise self.state.error(self._home.folder, f"initdb failed: {reason[0]}")
        fresh.rename(self._home.data)

    async def _answers(self) -> bool:
        try:
            connection = await self._connect("postgres")
        except asyncpg.InvalidAuthorizationSpecificationError as error:
            raise self.state.error(
                self.state.root / "postgres", f"its password is not the database's: {error}"
            ) from error
        except (OSError, TimeoutError, asyncpg.PostgresError):
            return False
        await connection.close()
        return True

    async def _create_database(self) -> None:
        connection = await self._connect("postgres")
        try:
            if not await connection.fetchval("SELECT 1 FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    async def _connect(self, database: str) -> asyncpg.Connection:
        return await asyncpg.connect(
            host="127.0.0.1",
            port=self.port.number,
            user=ROLE,
            password=self._password,
            database=database,
            ssl=False,
            timeout=5.0,
        )


def end_leftovers(data: Path) -> None:
    """See that no process works on `data` any more, though its server was killed or its pid file lost.

    A killed server's children notice within moments and leave, except one in a long statement; a new
    server refuses to start beside them. Each has a session of its own, so they are known by what they are
    and where they work.
    """
    server = _server_pid(data)
    grace_s = CHILD_GRACE_S
    if server in _working_in(data):
        os.kill(server, signal.SIGINT)
        grace_s = GRACE_S
    deadline = time.monotonic() + grace_s
    while pids := _working_in(data):
        if time.monotonic() >= deadline + GRACE_S:
            raise LocalStackError(f"processes {pids} still work in {data}, and cannot be killed")
        if time.monotonic() >= deadline:
            for pid in pids:
                with suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
        time.sleep(process.POLL_S)
    if Path(f"/proc/{server or 'none'}").exists():
        # PostgreSQL takes whoever has the crashed server's number for that server: another process by now,
        # or its own zombie.
        (data / "postmaster.pid").unlink(missing_ok=True)


def _server_pid(data: Path) -> int:
    """The server that works on `data`, or did when it crashed; 0 for none."""
    try:
        return int((data / "postmaster.pid").read_text().split()[0])
    except (OSError, ValueError, IndexError):
        return 0


def _working_in(data: Path) -> list[int]:
    """The PostgreSQL processes whose working directory is `data`: the server's is, and all its children's."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            inside = os.readlink(entry / "cwd") == str(data)
            if inside and Path(os.readlink(entry / "exe")).name.startswith("postgres"):
                found.append(int(entry.name))
        except OSError:
            continue
    return found
