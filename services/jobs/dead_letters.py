"""Dead letters of the consumers that are not Faust's."""

import asyncio

from aiokafka import ConsumerRecord

from services.jobs.publisher import Publisher
from services.jobs.records import Record
from shared import logs
from shared.contracts.dead_letter import Origin
from shared.errors import PoisonRecord, PublishError

_log = logs.get(__name__)

_PAUSE_S = 0.5


async def bury(publisher: Publisher, record: ConsumerRecord, poison: PoisonRecord) -> None:
    """Send a record of a raw consumer to the dead letters; waits while Kafka is away."""
    origin = Origin(record.topic, record.partition, record.offset, record.timestamp)
    dead = Record(record.key, record.value, list(record.headers), origin, ack=lambda: None)
    while True:
        try:
            return await publisher.bury(dead, poison)
        except PublishError as error:
            _log.warning("dead_letter_waits", error=str(error))
        await asyncio.sleep(_PAUSE_S)
