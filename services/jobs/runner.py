"""One claimed job to one outcome: run its handler within its time, then complete, retry or give up, fenced."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from services.jobs import metrics
from services.jobs.handlers import HANDLERS
from services.jobs.handlers.contract import Context, Tools
from services.jobs.publisher import Publisher
from services.jobs.store import jobs
from services.jobs.store.database import Connection
from services.jobs.store.jobs import ClaimedJob
from shared import logs
from shared.contracts.jobs import JobRetry, JobType
from shared.errors import Permanent, PoisonRecord, Retryable, StoreUnavailable

_log = logs.get(__name__)

_ERROR_CHARACTERS_MAX = 2000
_WRITE_ATTEMPT_PAUSE_S = 0.5

R = TypeVar("R")


class Runner:
    """Runs claimed jobs."""

    def __init__(self, tools: Tools, publisher: Publisher) -> None:
        self._tools = tools
        self._publisher = publisher
        #: The jobs that run now, and the lease that each runs under: these leases are renewed, and no others.
        self.held: dict[str, int] = {}

    async def run(self, job: ClaimedJob) -> None:
        """Run one attempt and record what came of it; never raises but for cancellation.

        A worker that is stopped leaves the row as it is: its lease runs out and the job is tried again.
        """
        metrics.JOBS_STARTED.labels(job.type).inc()
        started = time.perf_counter()
        self.held[job.id] = job.lease_no
        try:
            with metrics.JOBS_RUNNING.track_inprogress():
                outcome = await self._attempt(job)
        finally:
            if self.held.get(job.id) == job.lease_no:
                del self.held[job.id]
        metrics.JOB_DURATION.labels(job.type).observe(time.perf_counter() - started)
        metrics.JOBS_FINISHED.labels(job.type, outcome).inc()

    async def _attempt(self, job: ClaimedJob) -> str:
        try:
            handler = HANDLERS[JobType(job.type)]
        except ValueError:
            return await self._give_up(job, f"no handler for type {job.type!r}")
        context = Context(job_id=job.id, project=job.project, attempt=job.attempt, tools=self._tools)
        try:
            async with asyncio.timeout(handler.policy.timeout_s):
                result = await handler.run(job.payload, context)
        except Permanent as error:
            return await self._give_up(job, _described(error))
        except TimeoutError:
            return await self._failed(job, f"took longer than {handler.policy.timeout_s:g} s")
        except Retryable as error:
            return await self._failed(job, _described(error), getattr(error, "retry_after_s", None))
        except Exception as error:  # noqa: BLE001 - a handler may fail in any way; its policy decides
            _log.warning("attempt_failed", job=job.id, type=job.type, attempt=job.attempt, exc_info=error)
            return await self._failed(job, _described(error))
        return await self._completed(job, result)

    async def _completed(self, job: ClaimedJob, result: object) -> str:
        try:
            kept = await self._write(lambda connection: jobs.complete(connection, job, result))
        except PoisonRecord as poison:
            return await self._give_up(job, f"result: {poison.detail}")
        return "completed" if kept else self._lost(job)

    async def _failed(self, job: ClaimedJob, error: str, retry_after_s: float | None = None) -> str:
        if job.attempt >= job.max_attempts:
            return await self._give_up(job, error)
        pause_s = HANDLERS[JobType(job.type)].policy.pause_s(job.attempt, retry_after_s)
        due_at = await self._write(
            lambda connection: jobs.retry_later(connection, job, error=error, delay_s=pause_s)
        )
        if due_at is None:
            return self._lost(job)
        retry = JobRetry(
            id=job.id, type=job.type, priority=job.priority, due_at=due_at, attempts=job.attempt, error=error
        )
        await self._publisher.retry(retry, delay_s=pause_s)
        return "retried"

    async def _give_up(self, job: ClaimedJob, error: str) -> str:
        _log.warning("job_failed", job=job.id, type=job.type, attempts=job.attempt, error=error)
        kept = await self._write(lambda connection: jobs.give_up(connection, job, error=error))
        return "failed" if kept else self._lost(job)

    def _lost(self, job: ClaimedJob) -> str:
        _log.warning("lease_lost", job=job.id, type=job.type, attempt=job.attempt, lease_no=job.lease_no)
        return "lease_lost"

    async def _write(self, write: Callable[[Connection], Awaitable[R]]) -> R:
        """Record an outcome; while PostgreSQL is away, keep trying: the lease decides whether it still counts."""
        while True:
            try:
                async with self._tools.database.transaction() as connection:
                    return await write(connection)
            except StoreUnavailable as error:
                _log.warning("outcome_waits", error=str(error))
            await asyncio.sleep(_WRITE_ATTEMPT_PAUSE_S)


def _described(error: Exception) -> str:
    """The exception as people read it; NUL cannot be stored."""
    text = f"{type(error).__name__}: {error}".replace("\x00", "\ufffd")
    return text[:_ERROR_CHARACTERS_MAX]
