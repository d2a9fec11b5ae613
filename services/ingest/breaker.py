"""The circuit breaker in front of Kafka: open, nothing waits for it any more; it is tried again, ever more rarely."""

import asyncio
import time
from enum import IntEnum

from services.ingest import metrics
from shared import logs

_log = logs.get(__name__)

PAUSE_MIN_S = 0.1
PAUSE_MAX_S = 1.0  # how long after Kafka's return it may go unnoticed


class State(IntEnum):
    """As the metric says it."""

    #: Records are sent.
    CLOSED = 0
    #: Kafka has been reached; the first records are on their way, to see whether it takes them.
    HALF_OPEN = 1
    #: Nothing is sent.
    OPEN = 2


class Breaker:
    """Open at first: whether Kafka takes records is known when it took one."""

    def __init__(self) -> None:
        self._state = State.OPEN
        self._pause_s = PAUSE_MIN_S
        self._open_since = time.monotonic()
        metrics.BREAKER_STATE.set(self._state)

    @property
    def state(self) -> State:
        return self._state

    def open(self, reason: str) -> None:
        """Kafka did not take a record, or could not be reached."""
        if self._state is State.CLOSED:
            self._open_since = time.monotonic()
            metrics.BREAKER_OPENED.inc()
            _log.warning("kafka_away", reason=reason)
        self._move(State.OPEN)

    def half_open(self) -> None:
        """Kafka was reached."""
        self._move(State.HALF_OPEN)

    def close(self) -> None:
        """Kafka took a record, or there is none to try it with."""
        if self._state is not State.CLOSED:
            _log.info("kafka_takes_records", after_s=round(time.monotonic() - self._open_since, 3))
        self._pause_s = PAUSE_MIN_S
        self._move(State.CLOSED)

    async def pause(self) -> None:
        """Return when Kafka may be tried again: twice as late each time, up to PAUSE_MAX_S."""
        await asyncio.sleep(self._pause_s)
        self._pause_s = min(2 * self._pause_s, PAUSE_MAX_S)

    def _move(self, state: State) -> None:
        self._state = state
        metrics.BREAKER_STATE.set(state)
