"""One process that serves: Kafka, then HTTP until it is told to stop."""

import asyncio
import gc
import signal
import socket
import time
from functools import partial
from types import FrameType

import uvicorn

from services.ingest import slow_clients
from services.ingest.app import create_app
from services.ingest.keys import Keyring
from services.ingest.publisher import DurablePublisher
from services.ingest.settings import IngestSettings
from services.ingest.spool import Spool
from shared import kafka, logs, metrics
from shared.clock import SystemClock
from shared.contracts.topics import TOPICS, used_by
from shared.errors import Retryable

_log = logs.get(__name__)

_KAFKA_RETRY_S = 0.5
#: Longer than proxies and clients keep idle connections (most 60 s or less): else a request can meet our closing.
_KEEP_ALIVE_S = 75
_GC_THRESHOLD = 20_000  # objects more than before: about 500 requests; Python's own is 700
_BACKLOG = 2048  # connections that wait to be accepted; the kernel's somaxconn may cut it


async def serve(settings: IngestSettings, listener: socket.socket, *, abandoned: int | None = None) -> None:
    """Serve until SIGTERM or SIGINT. Raises SignalboxError when it cannot start.

    `abandoned` is a file that becomes readable when there is nobody left to send signals: it is taken for SIGTERM.
    """
    keyring = Keyring(settings, share=1 / settings.ingest_workers)
    publisher = await _connect(settings)
    tasks = [asyncio.create_task(keyring.watch()), asyncio.create_task(_hand_over_metrics())]
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGHUP, keyring.reload)
    try:
        app = create_app(settings, publisher, SystemClock(), keyring)
        _collect_rarely()
        server = _Server(
            uvicorn.Config(
                app,
                http=slow_clients.protocol(settings),
                ws="none",
                lifespan="off",
                access_log=False,  # requests are counted in /metrics
                log_config=None,
                server_header=False,
                proxy_headers=False,  # nothing here asks who the client is
                backlog=_BACKLOG,
                timeout_keep_alive=_KEEP_ALIVE_S,
                timeout_graceful_shutdown=round(settings.shutdown_grace_s),
            ),
            publisher,
            unready_s=settings.ingest_unready_s,
        )
        _log.info("listening", host=settings.host, port=settings.ingest_port)

        def stop(*_: object) -> None:
            server.should_exit = True

        def stop_abandoned(file: int) -> None:
            loop.remove_reader(file)
            signal.raise_signal(signal.SIGTERM)

        # uvicorn raises the signal that stopped it once more when it is done: unhandled, it would skip what follows.
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, stop)
        if abandoned is not None:
            loop.add_reader(abandoned, stop_abandoned, abandoned)
        await server.serve(sockets=[listener])
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.wait(tasks)
        await publisher.stop(drain_s=settings.ingest_spool_drain_s)
        metrics.hand_over()
    _log.info("stopped")


def _collect_rarely() -> None:
    """Keep the garbage collector from walking through all that was imported, and from starting every dozen requests.

    What a request leaves behind is freed without it; cycles come from errors, and wait a little longer.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GC_THRESHOLD, 20, 20)


async def _hand_over_metrics() -> None:
    while True:
        await asyncio.sleep(metrics.HAND_OVER_S)
        metrics.hand_over()


class _Server(uvicorn.Server):
    """Says that it is not ready, for `unready_s`, before it takes no more connections: so that none is sent to it."""

    def __init__(self, config: uvicorn.Config, publisher: DurablePublisher, *, unready_s: float) -> None:
        super().__init__(config)
        self._publisher = publisher
        self._unready_s = unready_s

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        """Signals end here. The second one does not wait."""
        if self._publisher.is_stopping:
            super().handle_exit(sig, frame)
        else:
            self._publisher.announce_stop()
            leave = partial(super().handle_exit, sig, frame)
            loop = asyncio.get_running_loop()
            loop.call_soon_threadsafe(loop.call_later, self._unready_s, leave)  # it wakes a loop that is idle


async def _connect(settings: IngestSettings) -> DurablePublisher:
    """A started publisher: with Kafka, whose topics must exist, or after `startup_timeout_s` with the spool alone."""
    give_up_at = time.monotonic() + settings.startup_timeout_s
    while True:
        try:
            async with asyncio.timeout(settings.startup_timeout_s):
                await kafka.require_topics(settings, used_by("ingest"))
            break
        except (Retryable, TimeoutError) as error:
            _log.warning("waiting_for_kafka", error=repr(error))
            if time.monotonic() > give_up_at:
                break
            await asyncio.sleep(_KAFKA_RETRY_S)
    publisher = DurablePublisher(
        settings,
        [topic for topic in TOPICS.values() if "ingest" in topic.producers],
        Spool(settings.spool_dir, bytes_max=settings.ingest_spool_bytes_max),
        timeout_s=settings.publish_timeout_s,
        producers=settings.publish_producers,
        compression=None if settings.publish_compression == "none" else settings.publish_compression,
    )
    await publisher.start(within_s=max(0.0, give_up_at - time.monotonic()))
    return publisher
