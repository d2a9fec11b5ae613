"""What goes out: records for Kafka, and where they are when a request is answered."""

from enum import StrEnum
from typing import NamedTuple

from aiokafka.record.default_records import DefaultRecordBatchBuilder

from shared.contracts.headers import Headers
from shared.contracts.topics import Topic

_REST_BYTES_MAX = (
    8_192  # key, headers and framing together: all of their parts are bounded, to less than half of it
)


#: Where an answer says that records are: `kafka`, or `spool` until Kafka has them too.
DURABILITY_HEADER = "X-Signalbox-Durability"


class Message(NamedTuple):
    """A record on its way to Kafka."""

    topic: Topic
    key: bytes
    value: bytes
    headers: Headers

    def size_exceeds(self, bytes_max: int) -> bool:
        """Whether its size is over this; most records are so small that nobody has to count."""
        return len(self.value) > bytes_max - _REST_BYTES_MAX and self.size() > bytes_max

    def size(self) -> int:
        """Its bytes on Kafka at most, framing and all: what the producer and the broker compare with their limits."""
        return int(DefaultRecordBatchBuilder.estimate_size_in_bytes(self.key, self.value, self.headers))


class Durability(StrEnum):
    """What a crash has to destroy before an acknowledged record is lost."""

    #: Every in-sync replica of its partition.
    KAFKA = "kafka"
    #: This machine's disk, until Kafka answers again and has it too.
    SPOOL = "spool"
