"""The dispatcher: hints from four topics, one consumer each, to claimed jobs, to running handlers.

One consumer a lane, because a consumer fetches a broker's partitions together: in a shared one, urgent hints would
wait behind the fetch of bulk. Kafka's offset is committed when a hint has reached the lanes in memory. A hint that is
lost, with a process or because Kafka is away, costs time only: a worker without hints claims what is overdue.
"""

import asyncio

from aiokafka import ConsumerRecord

from services.jobs.consumers import bury, commit, stop
from services.jobs.lanes import Lanes
from services.jobs.publisher import Publisher
from services.jobs.records import Decoder
from services.jobs.runner import Runner
from services.jobs.store import jobs
from services.jobs.store.database import Database
from services.jobs.store.jobs import ClaimedJob
from shared import kafka, logs
from shared.contracts.jobs import JobHint, Lane
from shared.contracts.topics import DISPATCH
from shared.errors import PoisonRecord, StoreUnavailable
from shared.settings import KafkaSettings

_log = logs.get(__name__)

_HINTS_MAX = 500  # a lane in memory; the rest of a backlog waits in Kafka
_POLL_MS = 500
_PAUSE_S = 0.5


class Dispatcher:
    """Claims jobs for this worker and runs them, at most `concurrency` at once."""

    def __init__(
        self,
        config: KafkaSettings,
        database: Database,
        publisher: Publisher,
        runner: Runner,
        *,
        worker: str,
        concurrency: int,
        reserved_slots: int,
        lease_s: float,
        overdue_after_s: float,
    ) -> None:
        self._config = config
        self._database = database
        self._publisher = publisher
        self._runner = runner
        self._worker = worker
        self._concurrency = concurrency
        self._reserved_slots = reserved_slots
        self._lease_s = lease_s
        self._overdue_after_s = overdue_after_s
        self._lanes = Lanes(hints_max=_HINTS_MAX)
        self._running: set[asyncio.Task[None]] = set()
        self._changed = asyncio.Event()

    async def run(self) -> None:
        """Dispatch until cancelled; then no more jobs are claimed and handlers get a moment to finish."""
        try:
            async with asyncio.TaskGroup() as group:
                for lane in Lane:
                    group.create_task(self._read(lane), name=f"lane-{lane.name}")
                group.create_task(self._start_jobs(), name="claims")
                group.create_task(self._start_overdue(), name="overdue")
        finally:
            await self._drain()

    async def _read(self, lane: Lane) -> None:
        topic = DISPATCH[lane]
        decoder = Decoder(JobHint)
        consumer = kafka.consumer(
            self._config,
            [topic],
            client_id=f"{self._worker}-{lane.name.lower()}",
            group_id=f"signalbox-jobs-{lane.name.lower()}",
            records_max=_HINTS_MAX,
        )
        await consumer.start()
        try:
            while True:
                room = self._lanes.room(lane)
                if room == 0:
                    await self._wait_for_change()
                    continue
                batches = await consumer.getmany(timeout_ms=_POLL_MS, max_records=room)
                for records in batches.values():
                    for record in records:
                        await self._take(lane, decoder, record)
                if batches:
                    self._changed.set()
                    await commit(consumer)
        finally:
            await stop(consumer)

    async def _take(self, lane: Lane, decoder: Decoder[JobHint], record: ConsumerRecord) -> None:
        try:
            self._lanes.add(lane, decoder.decode(record.value))
        except PoisonRecord as poison:
            await bury(self._publisher, record, poison)

    async def _start_jobs(self) -> None:
        while True:
            hints = self._next_hints()
            if not hints:
                await self._wait_for_change()
                continue
            for job in await self._claim([hint.id for hint in hints]):
                self._start(job)

    async def _start_overdue(self) -> None:
        """While there is nothing to do, look for jobs whose hints were lost."""
        while True:
            await asyncio.sleep(self._overdue_after_s / 2)
            free = self._concurrency - len(self._running)
            if len(self._lanes) or free <= self._reserved_slots:
                continue
            try:
                async with self._database.transaction() as connection:
                    ids = await jobs.overdue(connection, late_s=self._overdue_after_s, limit=free)
            except StoreUnavailable as error:
                _log.warning("overdue_waits", error=str(error))
                continue
            for job in await self._claim(ids) if ids else []:
                self._start(job)

    def _next_hints(self) -> list[JobHint]:
        """As many hints as there are free slots; the reserved ones are for p0 only."""
        free = self._concurrency - len(self._running)
        hints = self._lanes.take(max(0, free - self._reserved_slots))
        return hints + self._lanes.take(free - len(hints), urgent_only=True)

    async def _claim(self, ids: list[str]) -> list[ClaimedJob]:
        while True:
            try:
                async with self._database.transaction() as connection:
                    return await jobs.claim(connection, ids, owner=self._worker, lease_s=self._lease_s)
            except StoreUnavailable as error:
                _log.warning("claims_wait", error=str(error))
            await asyncio.sleep(_PAUSE_S)

    def _start(self, job: ClaimedJob) -> None:
        task = asyncio.create_task(self._runner.run(job), name=f"job-{job.id}")
        self._running.add(task)
        task.add_done_callback(self._ended)

    def _ended(self, task: asyncio.Task[None]) -> None:
        self._running.discard(task)
        self._changed.set()
        if not task.cancelled() and task.exception() is not None:
            _log.error("runner_failed", task=task.get_name(), exc_info=task.exception())

    async def _wait_for_change(self) -> None:
        """Until a hint came in or a job ended, whichever is first."""
        self._changed.clear()
        await self._changed.wait()

    async def _drain(self) -> None:
        if self._running:
            # No longer than the leases last: they are not renewed any more.
            _, late = await asyncio.wait(self._running, timeout=self._lease_s / 2)
            for task in late:
                task.cancel()
            await asyncio.gather(*late, return_exceptions=True)
