"""The spool: records on this machine's disk while Kafka cannot have them, in files that survive a crash."""

from services.ingest.spool.frames import Spooled
from services.ingest.spool.spool import Spool, SpoolFull
from services.ingest.spool.walk import Chunk, Walk

__all__ = ["Chunk", "Spool", "SpoolFull", "Spooled", "Walk"]
