"""Several processes that serve one address: started, replaced when one dies, stopped together.

They share the listening socket, which this process keeps: connections that wait in it while a worker is replaced are
taken by another. Each has its own Kafka producers and its own segments of the spool, and adopts those of a dead one.
"""

import asyncio
import multiprocessing
import os
import shutil
import signal
import socket
import sys
import time
from multiprocessing import connection
from multiprocessing.context import SpawnProcess
from types import FrameType

import uvloop
from prometheus_client import multiprocess

from services.ingest.settings import IngestSettings
from services.ingest.worker import serve
from shared import logs, metrics
from shared.errors import ConfigurationError, SignalboxError

_log = logs.get(__name__)

_SPAWN = multiprocessing.get_context("spawn")
#: A worker that ends sooner than this would end again at once: its successor waits as long.
_SHORT_LIFE_S = 2.0
_GRACE_S = 10.0  # beyond what a worker takes to answer what it has, and to drain its spool


def run(settings: IngestSettings, listener: socket.socket) -> None:
    """Serve with `ingest_workers` processes until SIGTERM or SIGINT.

    Raises ConfigurationError when there is no place for their metrics, and when a worker cannot start as it is
    configured; the worker has logged why.
    """
    listener.listen()  # else each worker would, and one that starts late would find the others' connections
    # Whoever has the port has the folder; what a killed predecessor left in it counts no more.
    folder = settings.state_dir.absolute() / f"ingest-metrics-{settings.ingest_port}"
    try:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
    except OSError as error:
        raise ConfigurationError(
            f"the workers' metrics need {folder} ({error.strerror}); SIGNALBOX_STATE_DIR moves it"
        ) from error
    os.environ[metrics.FOLDER_VARIABLE] = str(folder)  # for the workers: they read it when they are imported
    try:
        _Workers(settings, listener, str(folder)).run()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class _Workers:
    def __init__(self, settings: IngestSettings, listener: socket.socket, metrics_folder: str) -> None:
        self._settings = settings
        self._listener = listener
        self._metrics_folder = metrics_folder
        self._started: dict[SpawnProcess, float] = {}
        self._told_to_stop, self._tell_to_stop = os.pipe()

    def run(self) -> None:
        """See the function `run`."""
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._stop_soon)
        signal.signal(signal.SIGHUP, self._pass_on)
        for _ in range(self._settings.ingest_workers):
            self._start()
        try:
            while not self._wait():
                self._replace_dead()
        finally:
            self._stop_all()

    def _start(self) -> None:
        process = _SPAWN.Process(target=_work, args=(self._settings, self._listener), name="ingest-worker")
        process.start()
        self._started[process] = time.monotonic()
        _log.info("worker_started", pid=process.pid)

    def _wait(self, timeout_s: float | None = None) -> bool:
        """Return when a worker has ended, or after `timeout_s`; True when it is time to stop."""
        sentinels = [process.sentinel for process in self._started]
        return self._told_to_stop in connection.wait([*sentinels, self._told_to_stop], timeout_s)

    def _replace_dead(self) -> None:
        for process, started in list(self._started.items()):
            if process.is_alive():
                continue
            self._forget(process)
            if process.exitcode == _CANNOT_START:
                raise ConfigurationError("a worker cannot start as it is configured; its log says why")
            _log.error("worker_died", pid=process.pid, exit_status=process.exitcode)
            pause_s = _SHORT_LIFE_S if time.monotonic() - started < _SHORT_LIFE_S else 0.0
            if pause_s and connection.wait([self._told_to_stop], pause_s):
                return
            self._start()

    def _stop_all(self) -> None:
        for process in self._started:
            process.terminate()
        seconds = self._settings.shutdown_grace_s + self._settings.ingest_spool_drain_s + _GRACE_S
        deadline = time.monotonic() + seconds
        for process in list(self._started):
            process.join(max(0.0, deadline - time.monotonic()))
            if process.is_alive():
                _log.error("worker_killed", pid=process.pid, after_s=seconds)
                process.kill()
                process.join()
            self._forget(process)

    def _forget(self, process: SpawnProcess) -> None:
        del self._started[process]
        multiprocess.mark_process_dead(process.pid, self._metrics_folder)  # type: ignore[no-untyped-call]

    def _stop_soon(self, number: int, frame: FrameType | None) -> None:
        os.write(self._tell_to_stop, b".")

    def _pass_on(self, number: int, frame: FrameType | None) -> None:
        for process in self._started:
            if process.pid is not None:
                os.kill(process.pid, number)


#: The exit status of a worker that says that another try would end in the same way.
_CANNOT_START = 78  # EX_CONFIG of sysexits.h


def _work(settings: IngestSettings, listener: socket.socket) -> None:
    """A worker process. It ends by itself when its parent is no more: nobody else would stop it."""
    logs.configure("ingest", level=settings.log_level, format=settings.log_format)
    parent = multiprocessing.parent_process()
    assert parent is not None
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(serve(settings, listener, abandoned=parent.sentinel))
    except ConfigurationError as error:
        _log.error("worker_cannot_start", error=str(error))
        sys.exit(_CANNOT_START)
    except SignalboxError as error:
        _log.error("worker_failed", error=str(error))
        sys.exit(1)
    except KeyboardInterrupt:
        pass  # Ctrl-C reaches all processes of a terminal
