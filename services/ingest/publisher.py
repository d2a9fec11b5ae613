"""Records go out: to Kafka while it takes them, to the spool while it does not, and from there to Kafka.

    LIVE       records go to lanes, and are acknowledged by every in-sync replica of their partition
    SPOOLING   records go to the spool, behind what is in it; the replay sends them when Kafka answers
    HANDOVER   the replay is about to end: records wait in memory, for milliseconds, until Kafka has all before them

One failure or missed deadline of a lane moves everything that is not acknowledged, in order, to the spool. So records
with one key that one process takes keep their order, across the outage too; some of them may be on Kafka twice, in
which case the first of each is in order. Several processes have a spool each, and no order between them.
"""

import asyncio
import time
from asyncio import Future, Task, TimerHandle
from collections.abc import Sequence
from enum import StrEnum, auto
from itertools import groupby
from typing import Protocol

from services.ingest import metrics
from services.ingest.breaker import Breaker, State
from services.ingest.lanes import Entry, Lanes, Waiter
from services.ingest.producers import Producers
from services.ingest.record import Durability, Message
from services.ingest.replay import Replay
from services.ingest.spool import Spool, Spooled, SpoolFull
from shared import logs
from shared.contracts.topics import Topic
from shared.errors import PublishError, Retryable
from shared.settings import KafkaSettings

__all__ = ["Durability", "DurablePublisher", "Message", "Publisher"]

_log = logs.get(__name__)

_HANDOVER_BYTES = 1_048_576  # what a replay sends in a few milliseconds
_CHECK_TIMEOUT_S = 1.0  # half of what a readiness check may take


class Publisher(Protocol):
    """Where messages go. Tests have one that remembers them."""

    async def publish(self, messages: Sequence[Message]) -> Durability:
        """Hand over the messages; returning means that every one of them is where the answer says, or better.

        Messages with one key keep their order. Raises PublishError when one of them could neither be acknowledged
        by Kafka nor be written to the spool; the others may have been stored nevertheless, and publishing them again
        may store them twice. Whoever stores them removes duplicates by id.
        """

    async def offer(self, messages: Sequence[Message]) -> Durability | None:
        """Publish for a client that will not send them again, whatever it is answered; None when any was dropped.

        What is dropped is counted by reason. Raises nothing of its own.
        """

    async def check(self) -> str:
        """Say how messages are stored at present: `ok`, or what is wrong though they are. Raises Retryable."""


class Mode(StrEnum):
    """Where records go; see the module."""

    LIVE = auto()
    SPOOLING = auto()
    HANDOVER = auto()


class DurablePublisher:
    """Publishes to Kafka, or to the spool. Kafka has `timeout_s` for a batch, counted from when it is sent.

    A record waits for one batch before its own, so an answer may take twice `timeout_s`, and a sync of the disk.
    """

    def __init__(
        self,
        config: KafkaSettings,
        topics: Sequence[Topic],
        spool: Spool,
        *,
        timeout_s: float,
        producers: int = 2,
        compression: str | None = "zstd",
    ) -> None:
        self._spool = spool
        self._timeout_s = timeout_s
        self._breaker = Breaker()
        self._producers = Producers(config, topics, count=producers, compression=compression)
        self._lanes = Lanes(self._producers, self._fall_back)
        self._mode = Mode.SPOOLING
        self._held: list[Entry] = []
        self._held_for_long: TimerHandle | None = None
        #: Set unless records go straight to Kafka.
        self._away = asyncio.Event()
        self._away.set()
        self._live = asyncio.Event()
        self._recovering: Task[None] | None = None
        self.is_stopping = False

    async def start(self, *, within_s: float) -> None:
        """Take over what the spool holds, and return when Kafka takes records, or after `within_s` without it.

        Raises ConfigurationError when the spool cannot be used.
        """
        await self._spool.open()
        self._recovering = asyncio.create_task(self._recover())
        try:
            async with asyncio.timeout(within_s):
                await self._live.wait()
        except TimeoutError:
            _log.warning("started_without_kafka", spooled_records=self._spool.records)

    def announce_stop(self) -> None:
        """From now on `check` says that no more requests should come; those that do are served."""
        self.is_stopping = True

    async def stop(self, *, drain_s: float = 0.0) -> None:
        """Flush and disconnect. While Kafka answers, the spool gets `drain_s` to empty itself.

        What is in it after that stays on disk, for the next process.
        """
        try:
            async with asyncio.timeout(max(drain_s, self._timeout_s)):
                if self._breaker.state is not State.OPEN:
                    await self._live.wait()
                    await self._lanes.flushed()
        except TimeoutError:
            _log.warning("stopped_with_a_backlog", records=self._spool.records)
        if self._recovering is not None:
            self._recovering.cancel()
            await asyncio.gather(self._recovering, return_exceptions=True)
        if not self._live.is_set() or self._lanes.are_busy:
            self._fall_back(Retryable("the process stops"))
        await self._spool.close()
        await self._producers.close()

    async def publish(self, messages: Sequence[Message]) -> Durability:
        """See `Publisher.publish`."""
        started = time.perf_counter()
        try:
            return await self._hand_over(messages).future
        finally:
            metrics.PUBLISH_DURATION.observe(time.perf_counter() - started)

    async def offer(self, messages: Sequence[Message]) -> Durability | None:
        """See `Publisher.offer`."""
        waiter = self._hand_over(messages)
        try:
            return await waiter.future
        except PublishError:
            metrics.DROPPED.labels("full").inc(waiter.lost)
            metrics.DROPPED.labels("refused").inc(waiter.refused)
            return None

    async def check(self) -> str:
        """See `Publisher.check`."""
        if self.is_stopping:
            raise Retryable("the process stops")
        spooled = f"{self._spool.records} records in the spool"
        if self._mode is Mode.LIVE:
            try:
                async with asyncio.timeout(_CHECK_TIMEOUT_S):
                    if await self._producers.answers():
                        return "ok"
            except TimeoutError:
                pass
        if not self._spool.accepts():
            raise Retryable(f"Kafka does not take records, and the spool has no room; {spooled}")
        if self._breaker.state is State.CLOSED and self._mode is not Mode.LIVE:
            return f"Kafka is being sent what it missed; {spooled}"
        return f"Kafka does not answer; {spooled}"

    def _hand_over(self, messages: Sequence[Message]) -> Waiter:
        waiter = Waiter(len(messages), self._timeout_s)
        if self._mode is Mode.LIVE:
            for message in messages:
                self._lanes.add(Entry(message, waiter))
        elif self._mode is Mode.HANDOVER:
            self._held.extend(Entry(message, waiter) for message in messages)
        else:
            self._to_spool(waiter, messages)
        return waiter

    def _to_spool(self, waiter: Waiter, messages: Sequence[Message]) -> None:
        topic = messages[0].topic.name
        now_ms = time.time_ns() // 1_000_000
        try:
            commit = self._spool.append(
                [Spooled(topic.name, key, value, headers, now_ms) for topic, key, value, headers in messages]
            )
        except SpoolFull as error:
            waiter.lose(topic, error, len(messages))
            return

        def committed(commit: Future[None]) -> None:
            error = commit.exception()
            if error is None:
                metrics.SPOOLED.inc(len(messages))
                waiter.settle(Durability.SPOOL, len(messages))
            else:
                assert isinstance(error, Exception)
                waiter.lose(topic, error, len(messages))

        commit.add_done_callback(committed)

    def _fall_back(self, error: Exception) -> None:
        """Kafka does not take records: everything that it has not acknowledged goes to the spool, in order."""
        self._breaker.open(repr(error))
        entries = [*self._lanes.take_all(), *self._end_handover(Mode.SPOOLING)]
        self._away.set()
        self._live.clear()
        self._producers.abandon()
        for waiter, group in groupby(entries, lambda entry: entry.waiter):
            messages = [entry.message for entry in group]
            if waiter.is_spooled:
                waiter.lose(messages[0].topic.name, error, len(messages))
            else:
                self._to_spool(waiter, messages)

    async def _recover(self) -> None:
        """For as long as the process runs: when records do not go to Kafka, bring it about that they do again."""
        while True:
            await self._away.wait()
            try:
                self._lanes.build(await self._producers.connect())
                self._breaker.half_open()
                await self._catch_up()
            except (Retryable, OSError) as error:
                if isinstance(error, OSError):
                    _log.error("spool_unreadable", error=str(error))
                self._fall_back(error)
                self._spool.report()
                await self._breaker.pause()
            except Exception as error:  # noqa: BLE001 - the edge of a task: whatever it is, records are kept
                _log.exception("recovery_failed")
                self._fall_back(error)
                await self._breaker.pause()

    async def _catch_up(self) -> None:
        """Send what is in the spool, until records can go straight to Kafka. Raises Retryable and OSError."""
        replay = Replay(self._spool, self._lanes)
        while True:
            if self._mode is Mode.SPOOLING and self._spool.bytes_held <= _HANDOVER_BYTES:
                self._begin_handover()
            if await replay.step():
                if replay.has_landed:
                    self._breaker.close()
            elif not self._spool.is_settled:
                await self._spool.settled()
            elif self._spool.bytes_held == 0 and self._mode is Mode.HANDOVER:
                break
        held = self._end_handover(Mode.LIVE)
        self._breaker.close()
        self._away.clear()
        self._live.set()
        for entry in held:
            self._lanes.add(entry)

    def _begin_handover(self) -> None:
        self._mode = Mode.HANDOVER
        loop = asyncio.get_running_loop()
        self._held_for_long = loop.call_later(self._timeout_s, self._abort_handover)

    def _end_handover(self, mode: Mode) -> list[Entry]:
        """Records wait no more; those that did, in order."""
        self._mode = mode
        if self._held_for_long is not None:
            self._held_for_long.cancel()
            self._held_for_long = None
        held, self._held = self._held, []
        return held

    def _abort_handover(self) -> None:
        for waiter, group in groupby(self._end_handover(Mode.SPOOLING), lambda entry: entry.waiter):
            self._to_spool(waiter, [entry.message for entry in group])
