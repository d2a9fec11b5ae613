"""Producing records: an acknowledgement within a deadline, or PublishError."""

import asyncio

import msgspec
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from services.cache import metrics
from services.cache.backend import Position
from shared import logs
from shared.contracts import dead_letter, headers
from shared.contracts.cache import Invalidation
from shared.contracts.dead_letter import Origin
from shared.contracts.topics import INVALIDATIONS
from shared.errors import PoisonRecord, PublishError

_log = logs.get(__name__)

_SERVICE = "cache"


class Publisher:
    """Sends records; returning from a method means that every in-sync replica has them."""

    def __init__(self, producer: AIOKafkaProducer, *, timeout_s: float) -> None:
        self._producer = producer
        self._timeout_s = timeout_s

    async def invalidate(self, invalidation: Invalidation) -> Position:
        """Send an invalidation; the position is its own, so replicas that stand further have read it.

        Raises PublishError: some replica, all of them or none may read it.
        """
        return await self._publish(
            INVALIDATIONS.name,
            key=_record_key(invalidation).encode(),
            value=msgspec.json.encode(invalidation),
            headers=headers.encode(
                id=invalidation.id,
                type=INVALIDATIONS.type,
                schema=INVALIDATIONS.schema,
                source=_SERVICE,
            ),
        )

    async def bury(
        self,
        origin: Origin,
        *,
        key: bytes | None,
        value: bytes | None,
        original: headers.Headers,
        poison: PoisonRecord,
    ) -> None:
        """Send a record that cannot be processed to the dead letters, bytes untouched. Raises PublishError."""
        assert INVALIDATIONS.dead_letter is not None, "every topic that is read has a dead letter"
        why = dead_letter.headers(
            original, origin=origin, reason=poison.reason, detail=poison.detail, service=_SERVICE
        )
        await self._publish(INVALIDATIONS.dead_letter, key=key, value=value, headers=why)
        metrics.RECORDS_DEAD.labels(poison.reason).inc()
        _log.warning("record_buried", **origin._asdict(), reason=poison.reason, detail=poison.detail)

    async def _publish(
        self, topic: str, *, key: bytes | None, value: bytes | None, headers: headers.Headers
    ) -> Position:
        try:
            async with asyncio.timeout(self._timeout_s):
                sent = await self._producer.send_and_wait(topic, value, key, headers=headers)
        except TimeoutError as error:
            raise PublishError(topic, f"no acknowledgement within {self._timeout_s:g} s") from error
        except KafkaError as error:
            raise PublishError(topic, f"{type(error).__name__}: {error}") from error
        return Position(sent.partition, sent.offset)


def _record_key(invalidation: Invalidation) -> str:
    """What the topic table says: entity, pattern or first tag."""
    return invalidation.entity or invalidation.pattern or invalidation.tags[0]
