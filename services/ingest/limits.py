"""Backpressure: how many bytes of requests may be in work at once."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager

from services.ingest import metrics
from shared.errors import Unavailable

_RETRY_AFTER_S = 1
_RETRY_AFTER_SPREAD_S = 4  # clients that were refused together must not come back together


def retry_after_s() -> int:
    """When a refused client may come back: 1 to 5 s from now."""
    return _RETRY_AFTER_S + secrets.randbelow(_RETRY_AFTER_SPREAD_S + 1)


class InFlight:
    """Counts the bytes of bodies from when they were read until they were published or refused.

    Bytes, and not requests, since a body may be a hundred bytes or a megabyte. One body is always let in, however
    large, so that a limit set too low slows the service down and does not shut it.
    """

    def __init__(self, bytes_max: int) -> None:
        self._bytes_max = bytes_max
        self._bytes = 0

    def check(self) -> None:
        """Return when there is room at all, which costs nothing yet. Raises Unavailable."""
        if self._bytes >= self._bytes_max:
            raise _full()

    @contextmanager
    def hold(self, size: int) -> Iterator[None]:
        """Take `size` bytes of the room for as long as the block runs. Raises Unavailable."""
        self.take(size)
        try:
            yield
        finally:
            self.give_back(size)

    def take(self, size: int) -> None:
        """Take `size` bytes of the room, until they are given back. Raises Unavailable."""
        if self._bytes and self._bytes + size > self._bytes_max:
            raise _full()
        self._bytes += size
        metrics.BODY_BYTES_IN_FLIGHT.set(self._bytes)

    def give_back(self, size: int) -> None:
        """Give back what was taken."""
        self._bytes -= size
        metrics.BODY_BYTES_IN_FLIGHT.set(self._bytes)


def _full() -> Unavailable:
    return Unavailable("Too much is waiting for Kafka; nothing was stored.", retry_after_s=retry_after_s())
