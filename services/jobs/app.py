"""The jobs service put together: its API, its Faust agents, its dispatcher and what keeps jobs moving.

The only module that names Faust. Agents are plain functions over a stream of records; here they are given topics,
and every part runs in one event loop: when one fails, the process ends, and whoever supervises it starts it anew.
"""

import asyncio
import signal
import tempfile
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

import faust
import uvicorn
from faust.types import EventT, StreamT

from services.jobs import agents, api, schedules
from services.jobs.dispatcher import Dispatcher
from services.jobs.handlers import MAX_ATTEMPTS
from services.jobs.handlers.contract import Tools
from services.jobs.mail import mailer_for
from services.jobs.publisher import Publisher
from services.jobs.records import Record
from services.jobs.relay import relay
from services.jobs.retries import RetryTier
from services.jobs.runner import Runner
from services.jobs.settings import JobsSettings
from services.jobs.store.database import Database
from services.jobs.sweeper import Sweeper
from shared import kafka, logs
from shared.clock import SystemClock
from shared.contracts.dead_letter import Origin
from shared.contracts.topics import RETRY_TIERS_S, Topic

_log = logs.get(__name__)


#: Faust makes a folder for tables at every start, in the working directory unless it is told where; it stays empty.
_UNUSED_FOLDER = Path(tempfile.gettempdir()) / "signalbox-jobs"


class AgentsStopped(Exception):
    """Faust ended while the process had work to do."""


async def serve(settings: JobsSettings) -> None:
    """Run until SIGTERM or SIGINT; raises when any part fails.

    Raises MissingTopics, ConfigurationError and StoreUnavailable before anything has started.
    """
    database = Database(
        settings.postgres_dsn.get_secret_value(),
        connections_max=settings.postgres_connections_max,
        timeout_s=settings.postgres_timeout_s,
    )
    mailer = mailer_for(settings.mail_url.get_secret_value())
    await database.open()
    producer = kafka.producer(settings, client_id=settings.jobs_worker_name)
    await producer.start()
    publisher = Publisher(producer)
    tools = Tools(database=database, mailer=mailer, settings=settings)
    runner = Runner(tools, publisher)
    try:
        await _run_parts(settings, database, publisher, runner)
    finally:
        await producer.stop()
        await database.close()


async def _run_parts(
    settings: JobsSettings, database: Database, publisher: Publisher, runner: Runner
) -> None:
    dispatcher = Dispatcher(
        settings,
        database,
        publisher,
        runner,
        worker=settings.jobs_worker_name,
        concurrency=settings.jobs_concurrency,
        reserved_slots=settings.jobs_reserved_slots,
        lease_s=settings.jobs_lease_s,
        overdue_after_s=settings.jobs_overdue_after_s,
    )
    sweeper = Sweeper(
        database,
        publisher,
        runner=runner,
        lease_s=settings.jobs_lease_s,
        interval_s=settings.jobs_sweep_interval_s,
    )
    web = api.create_app(settings, database, publisher, runner)
    server = uvicorn.Server(
        uvicorn.Config(
            web,
            host=settings.host,
            port=settings.jobs_port,
            log_config=None,
            access_log=False,
            server_header=False,
            timeout_graceful_shutdown=int(settings.shutdown_grace_s),
        )
    )
    async with _faust(settings, database, publisher) as failure, asyncio.TaskGroup() as group:
        parts = [
            group.create_task(failure(), name="agents"),
            group.create_task(dispatcher.run(), name="dispatcher"),
            group.create_task(sweeper.run(), name="sweeper"),
            group.create_task(relay(database, publisher), name="relay"),
            group.create_task(schedules.run(database, publisher, project=settings.project), name="schedules"),
            *(
                group.create_task(
                    RetryTier(
                        settings, publisher, tier, worker=settings.jobs_worker_name, clock=SystemClock()
                    ).run(),
                    name=f"retry-{tier}",
                )
                for tier in RETRY_TIERS_S
            ),
        ]
        _keep_signals()
        await server.serve()  # returns on SIGTERM or SIGINT
        _log.info("stopping")
        for part in parts:
            part.cancel()


def _keep_signals() -> None:
    """Let the process outlive the signal that stops the server: uvicorn raises it again when it has stopped."""
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, _log.debug, "signal_seen")


@asynccontextmanager
async def _faust(
    settings: JobsSettings, database: Database, publisher: Publisher
) -> AsyncIterator[Callable[[], Coroutine[None, None, None]]]:
    """Faust, running, with an agent for each topic that is taken in; yields what waits for its failure, and raises it."""
    failed: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    app = create_faust(
        settings,
        agents.agents(database, publisher, MAX_ATTEMPTS, batch_records_max=settings.jobs_batch_records_max),
        failed,
    )

    async def failure() -> None:
        stopped = asyncio.ensure_future(app.wait_for_stopped())  # it also ends when Faust crashed
        try:
            await asyncio.wait((failed, stopped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            stopped.cancel()
        if failed.done():
            await failed
        raise AgentsStopped(f"Faust ended: {app.crash_reason!r}")

    await app.start()
    try:
        yield failure
    finally:
        failed.cancel()
        await app.stop()


def create_faust(
    settings: JobsSettings, by_topic: Mapping[Topic, agents.Agent], failed: asyncio.Future[None]
) -> faust.App:
    """A Faust app with an agent for each topic; `failed` gets the exception of one that failed.

    No tables and no `take()`: what is counted is counted in PostgreSQL, and `take()` acknowledges a batch whose
    processing failed. Acknowledgement is ours (`noack`), in order, after the transaction.
    """
    brokers = ",".join(f"kafka://{address}" for address in settings.kafka_bootstrap_servers.split(","))
    app = faust.App(
        "signalbox-jobs",
        broker=brokers,
        store="memory://",
        datadir=_UNUSED_FOLDER,
        web_enabled=False,
        topic_allow_declare=False,
        topic_disable_leader=True,
        broker_session_timeout=kafka.SESSION_TIMEOUT_MS / 1000,
        broker_heartbeat_interval=kafka.HEARTBEAT_INTERVAL_MS / 1000,
        broker_rebalance_timeout=kafka.SESSION_TIMEOUT_MS / 1000,
        broker_commit_interval=0.5,
        broker_max_poll_records=settings.jobs_batch_records_max,
        consumer_auto_offset_reset="earliest",
        stream_wait_empty=False,
        stream_buffer_maxsize=settings.jobs_batch_records_max,
    )
    for topic, agent in by_topic.items():
        channel = app.topic(
            topic.name, key_type=bytes, value_type=bytes, key_serializer="raw", value_serializer="raw"
        )
        app.agent(channel, name=topic.name)(_over_records(agent, failed))
    return app


def _over_records(
    agent: agents.Agent, failed: asyncio.Future[None]
) -> Callable[[StreamT[bytes]], Coroutine[None, None, None]]:
    async def run(stream: StreamT[bytes]) -> None:
        try:
            await agent(_records(stream))
        except Exception as error:
            # Faust would start the agent anew, and skip what it held: the process ends instead, and nothing is lost.
            if not failed.done():
                failed.set_exception(error)
            raise

    return run


async def _records(stream: StreamT[bytes]) -> AsyncIterator[Record]:
    async for event in stream.noack().events():
        yield _record(event)


def _record(event: EventT[bytes]) -> Record:
    message = event.message
    origin = Origin(message.topic, message.partition, message.offset, int((message.timestamp or 0) * 1000))
    headers = message.headers or []
    pairs = headers.items() if isinstance(headers, Mapping) else headers
    return Record(message.key, message.value, list(pairs), origin, ack=event.ack)
