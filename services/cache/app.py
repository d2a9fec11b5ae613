"""The parts of a replica put together, and their life from start to stop.

change -> routes -> cache (L1 -> Redis) -> sources => PostgreSQL (read only);  invalidations => every replica
"""

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager, suppress
from typing import NamedTuple

import uvicorn
from aiokafka.errors import KafkaError
from fastapi import FastAPI, Request, Response

from services.cache import metrics, routes, stats
from services.cache.backend import Backend
from services.cache.cache import Cache
from services.cache.classes import CLASSES
from services.cache.follower import Follower
from services.cache.invalidation import Announcer
from services.cache.memory import Memory
from services.cache.publisher import Publisher
from services.cache.settings import CacheSettings
from services.cache.sources import Database, open_database
from shared import http, kafka, logs
from shared.clock import SystemClock
from shared.contracts.topics import used_by
from shared.errors import ConfigurationError, Retryable, StoreUnavailable, Unavailable

_log = logs.get(__name__)

Tasks = Sequence["asyncio.Task[None]"]

_KAFKA_RETRY_S = 1.0
_PRODUCER_STOP_TIMEOUT_S = 5.0


class Parts(NamedTuple):
    """What a running replica is made of."""

    memory: Memory
    backend: Backend
    database: Database
    cache: Cache
    announcer: Announcer
    follower: Follower


async def serve(settings: CacheSettings) -> None:
    """Run a replica until it is cancelled; requests under way are answered first.

    Raises ConfigurationError when it cannot start, and whatever ended the reader of invalidations: a replica that
    reads none must not answer.
    """
    with _listen(settings) as listening:
        await _wait_for_topics(settings)
        async with _parts(settings) as parts:
            server = _server(settings, create_app(settings, parts))
            background = [
                asyncio.create_task(parts.follower.run(), name="follower"),
                asyncio.create_task(parts.backend.connection.keep_open(), name="redis"),
            ]
            try:
                await _until(parts.follower.caught_up, background, timeout_s=settings.cache_start_timeout_s)
                serving = asyncio.create_task(server.serve([listening]), name="http")
                try:
                    await asyncio.wait([serving, *background], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    server.should_exit = True
                    await serving
            finally:
                await _end(background)


async def _until(reached: asyncio.Event, background: Tasks, *, timeout_s: float) -> None:
    """Wait for the event, unless a task in the background ends first. Raises ConfigurationError in the end."""
    waiting = asyncio.create_task(reached.wait())
    try:
        await asyncio.wait([waiting, *background], timeout=timeout_s, return_when=asyncio.FIRST_COMPLETED)
        if not waiting.done() and not any(task.done() for task in background):
            raise ConfigurationError(f"the invalidations on Kafka could not be read within {timeout_s:g} s")
    finally:
        waiting.cancel()


async def _end(background: Tasks) -> None:
    """Cancel what still runs, and raise what ended before it was told to."""
    for task in background:
        task.cancel()
    for outcome in await asyncio.gather(*background, return_exceptions=True):
        if isinstance(outcome, Exception):
            raise outcome


def create_app(settings: CacheSettings, parts: Parts) -> FastAPI:
    """The HTTP side of a replica."""
    app = FastAPI(
        title="signalbox cache",
        description="Cached reads with a time to live, invalidated by Kafka.",
        version="1",
        docs_url=None,
        redoc_url=None,
    )
    http.install(app, service="cache", checks={"stores": lambda: _either(parts)})

    @app.exception_handler(Retryable)
    async def retryable(_: Request, error: Retryable) -> Response:
        return http.problem(Unavailable(str(error), retry_after_s=1))

    app.include_router(
        routes.create_router(
            settings,
            parts.cache,
            parts.announcer,
            lambda: stats.collect(settings, parts.memory, parts.backend, parts.follower),
        )
    )
    metrics.start_at_zero(CLASSES)
    metrics.L1_ENTRIES.set_function(lambda: parts.memory.entries)
    metrics.L1_BYTES.set_function(lambda: parts.memory.bytes)
    return app


def _server(settings: CacheSettings, app: FastAPI) -> uvicorn.Server:
    config = uvicorn.Config(
        app,
        loop="none",  # it runs in the one that __main__ made
        http="httptools",
        ws="none",
        lifespan="off",
        access_log=False,
        log_config=None,
        server_header=False,
        timeout_graceful_shutdown=max(1, round(settings.shutdown_grace_s)),
    )
    return _Server(config)


class _Server(uvicorn.Server):
    """Leaves signals to __main__, which cancels `serve`: its own handling would end the process before we can."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


def _listen(settings: CacheSettings) -> socket.socket:
    """A bound socket; it accepts when the server starts. Raises ConfigurationError for a port that is taken."""
    listening = socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listening.bind((settings.host, settings.cache_port))
    except OSError as error:
        listening.close()
        raise ConfigurationError(
            f"{settings.host}:{settings.cache_port} cannot be listened on: {error.strerror}; "
            "SIGNALBOX_CACHE_PORT and SIGNALBOX_HOST choose another address"
        ) from error
    return listening


async def _wait_for_topics(settings: CacheSettings) -> None:
    """Raises MissingTopics, and ConfigurationError when Kafka does not come."""
    topics = used_by("cache")
    try:
        async with asyncio.timeout(settings.cache_start_timeout_s):
            while True:
                try:
                    return await kafka.require_topics(settings, topics)
                except Retryable as error:
                    _log.warning("kafka_away", error=str(error))
                await asyncio.sleep(_KAFKA_RETRY_S)
    except TimeoutError as error:
        raise ConfigurationError(
            f"Kafka at {settings.kafka_bootstrap_servers} (KAFKA_BOOTSTRAP_SERVERS) did not answer within "
            f"{settings.cache_start_timeout_s:g} s"
        ) from error


@asynccontextmanager
async def _parts(settings: CacheSettings) -> AsyncIterator[Parts]:
    clock = SystemClock()
    memory = Memory(
        entries_max=settings.cache_l1_entries_max,
        bytes_max=settings.cache_l1_bytes_max,
        fresh_s=settings.cache_l1_ttl_s,
        tombstones_max=settings.cache_tombstones_max,
    )
    async with AsyncExitStack() as opened:
        database = await opened.enter_async_context(
            open_database(
                settings.postgres_dsn.get_secret_value(),
                connections_max=settings.postgres_connections_max,
                timeout_s=settings.cache_fill_timeout_s,
            )
        )
        backend = Backend(settings)
        opened.push_async_callback(backend.connection.close)
        await backend.connection.open()
        publisher = await opened.enter_async_context(_publisher(settings))
        cache = Cache(settings, memory, backend, database, clock)
        opened.push_async_callback(cache.close)
        follower = Follower(settings, cache, backend, publisher)
        yield Parts(memory, backend, database, cache, Announcer(publisher, cache, clock), follower)


@asynccontextmanager
async def _publisher(settings: CacheSettings) -> AsyncIterator[Publisher]:
    producer = kafka.producer(settings, client_id=f"signalbox-cache-{settings.cache_replica_name}")
    try:
        await producer.start()
    except KafkaError as error:
        await producer.stop()
        raise ConfigurationError(f"Kafka cannot be written to: {error}") from error
    try:
        yield Publisher(producer, timeout_s=settings.cache_publish_timeout_s)
    finally:
        # what is still waiting was reported as failed already
        with suppress(TimeoutError):
            async with asyncio.timeout(_PRODUCER_STOP_TIMEOUT_S):
                await producer.stop()


async def _either(parts: Parts) -> None:
    """Without Redis and without PostgreSQL there is next to nothing to answer with; one of them is enough."""
    try:
        await parts.backend.connection.ping()
    except StoreUnavailable:
        await parts.database.ping()
