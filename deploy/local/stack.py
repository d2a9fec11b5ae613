"""The whole stack: bring it up, take it down.

up:    postgres -> migrations, example data |
       redis                                | -> services, prometheus -> .local/env
       kafka    -> topics                   |
down:  the same from right to left
"""

import subprocess
import sys
import threading
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from functools import cached_property, partial

from deploy.local import broker, environment, process, services
from deploy.local.embedded_broker import EmbeddedBroker
from deploy.local.environment import Keys
from deploy.local.errors import LocalStackError, ServerDied
from deploy.local.kafka import Kafka
from deploy.local.ports import require_free
from deploy.local.postgres import Postgres
from deploy.local.process import Command, Running
from deploy.local.prometheus import Prometheus
from deploy.local.redis import Redis
from deploy.local.server import Cancelled, Say, Server, running, start
from deploy.local.services import Service
from deploy.local.settings import PROJECT, Settings
from deploy.local.state import State

#: How long creating the topics, the migrations and the example data may take, each.
STEP_TIMEOUT_S = 90.0

#: What the services stand on; it is started before them and stopped after them.
FOUNDATION = ("postgres", "redis", "kafka")


class Stack:
    """The stack of one state folder. Its methods block; several at once on one folder take turns."""

    def __init__(self, settings: Settings, say: Say = lambda line: None) -> None:
        """`say` gets each line of progress, from several threads."""
        self.settings = settings
        self.state = State(settings.state_dir)
        self._say = say
        self._cancelled = threading.Event()

    def up(self, *, services: bool = True, schema: bool = True) -> dict[str, str]:
        """Start what does not run yet; returning means all of it is ready.

        Without `services` only Kafka, PostgreSQL and Redis, and the topics, tables and example data in
        them; without `schema` not those either. Returns the variables that `.local/env` has.
        Raises LocalStackError; what was started by then goes on running until `down`.
        """
        self._cancelled.clear()
        self.state.prepare()
        with self.state.locked(self._say):
            return self._up(services, schema)

    def down(self) -> list[str]:
        """Stop all that runs, services first; returns the names. Returning means nothing is left running."""
        if not self.state.run.is_dir():
            return []
        with self.state.locked(self._say):
            names = sorted(path.stem for path in self.state.run.glob("*.json"))
            above = [name for name in names if name not in FOUNDATION]
            stopped = self._stop(above) + self._stop(list(FOUNDATION))
            self.state.env.unlink(missing_ok=True)
            return stopped

    def _up(self, with_services: bool, schema: bool) -> dict[str, str]:
        Keys.of(self.state)  # if they are damaged, better now than when half of it runs
        kafka = broker.select(self.settings, self.state, self._say)
        foundation: list[Server] = [self._postgres, self._redis, kafka]
        upper: list[Server] = []
        if with_services:
            upper = [*self._services({}), *filter(None, [self._prometheus])]
        missing = [server for server in (*foundation, *upper) if running(server, self.state) is None]
        for server in missing:
            server.ended(clean=False)
        for server in missing:
            for port in server.ports:
                require_free(port, server.name)
        filled = self.state.run / "filled"
        if missing:
            filled.unlink(missing_ok=True)
        fill = schema and not filled.exists()
        self._parallel(
            [
                partial(self._start_postgres, kafka, fill),
                partial(self._start, self._redis),
                partial(self._start_kafka, kafka, fill),
            ]
        )
        if fill:
            filled.touch()
        variables = self._variables(kafka)
        if with_services:
            if self._prometheus:
                self._prometheus.list_targets()
                variables["PROMETHEUS_URL"] = self._prometheus.url
            upper = [*self._services(variables), *filter(None, [self._prometheus])]
            self._parallel([partial(self._start, server) for server in upper])
        self.state.write_private(self.state.env, environment.render(variables))
        return variables

    def _start_postgres(self, kafka: Kafka | EmbeddedBroker, fill: bool) -> None:
        self._start(self._postgres)
        if fill:
            variables = self._variables(kafka)
            self._run_step("migrations", ["services.jobs", "migrate"], variables)
            self._run_step("example-data", ["services.cache", "seed"], variables)

    def _start_kafka(self, kafka: Kafka | EmbeddedBroker, fill: bool) -> None:
        self._start(kafka)
        if fill:
            address = {"KAFKA_BOOTSTRAP_SERVERS": f"127.0.0.1:{kafka.port.number}"}
            self._run_step("topics", ["shared.kafka", "create-topics"], address)

    def _start(self, server: Server) -> None:
        start(server, self.state, self._say, self._cancelled)

    def _run_step(self, name: str, module: list[str], variables: Mapping[str, str]) -> None:
        """Run one of the project's own commands to its end. Raises ServerDied when it fails."""
        environ = {**self.settings.environ, **variables}
        try:
            done = process.run(Command([sys.executable, "-m", *module], environ, PROJECT), STEP_TIMEOUT_S)
        except subprocess.TimeoutExpired as error:
            raise LocalStackError(
                f"{name} (python -m {' '.join(module)}) took over {STEP_TIMEOUT_S:.0f} s"
            ) from error
        log = self.state.log(name)
        log.write_text(done.stdout + done.stderr)
        if done.returncode:
            raise ServerDied(name, f"(python -m {' '.join(module)}) failed", log, process.last_lines(log))

    def _variables(self, kafka: Kafka | EmbeddedBroker) -> dict[str, str]:
        return environment.variables(
            services=self._services({}),
            keys=Keys.of(self.state),
            kafka=kafka.port.number,
            idempotence=kafka.kind == "apache",
            dsn=self._postgres.dsn(),
            redis_url=self._redis.url,
        )

    def _services(self, variables: Mapping[str, str]) -> list[Service]:
        state = {"SIGNALBOX_STATE_DIR": str(self.state.root)}
        return services.all_of(self.settings, {**self.settings.environ, **variables, **state})

    def _stop(self, names: Sequence[str]) -> list[str]:
        """Stop those of `names` that run, all at once."""
        stopped: list[str] = []

        def stop_one(name: str) -> None:
            pid_file = self.state.run / f"{name}.json"
            found = Running.read(pid_file)
            clean = False
            if found and found.is_alive():
                killed_before = found.is_ending()
                clean = process.stop(found)
                if not killed_before:
                    stopped.append(name)
                    self._say(
                        f"{name:<11} stopped" + ("" if clean else f" (killed after {found.grace_s:g} s)")
                    )
            pid_file.unlink(missing_ok=True)
            if name == "postgres":
                self._postgres.ended(clean)
            elif name == "kafka" and found:
                broker.build(found.kind, self.settings, self.state).ended(clean)

        self._parallel([partial(stop_one, name) for name in names])
        return stopped

    def _parallel(self, tasks: Sequence[Callable[[], None]]) -> None:
        """Do all at once; when one fails the others stop waiting, and its error is raised."""
        if not tasks:
            return
        with ThreadPoolExecutor(len(tasks)) as pool:
            futures = [pool.submit(task) for task in tasks]
            try:
                wait(futures, return_when=FIRST_EXCEPTION)
            finally:
                if not all(future.done() for future in futures):
                    self._cancelled.set()
        errors = [error for future in futures if (error := future.exception())]
        for error in sorted(errors, key=lambda error: isinstance(error, Cancelled)):
            raise error

    @cached_property
    def _postgres(self) -> Postgres:
        port = self.settings.ports.port("postgres")
        return Postgres(self.state, port, self.settings.environ, self.settings.postgres_bin)

    @cached_property
    def _redis(self) -> Redis:
        return Redis(self.state, self.settings.ports.port("redis"), self.settings.environ)

    @cached_property
    def _prometheus(self) -> Prometheus | None:
        return Prometheus.of_the_system(self.settings, self.state, self._services({}))
