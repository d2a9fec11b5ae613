"""Reading the spool from the first record that Kafka lacks, in the order in which records were appended."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from services.ingest import metrics
from services.ingest.spool import frames
from services.ingest.spool.frames import Found, Spooled
from services.ingest.spool.segment import Segment
from services.ingest.spool.spool import Spool
from shared import logs

_log = logs.get(__name__)

_CHUNK_BYTES = 65_536  # a millisecond of work, so that requests come in between


class Chunk(NamedTuple):
    """Some records of one file that follow one another."""

    segment: Segment
    records: list[Spooled]
    #: Where it ends in the file.
    end: int


class Walk:
    """One pass over the spool; after a failed replay another one starts where Kafka's acknowledgements ended."""

    def __init__(self, spool: Spool) -> None:
        self._spool = spool
        self._segment: Segment | None = None
        self._at = 0
        #: What of the file is in memory.
        self._base = self._loaded_to = 0
        self._found: Iterator[Found] = iter(())

    async def next(self) -> Chunk | None:
        """The next records; None when all that is on disk has been read. Raises OSError."""
        while self._segment is None or self._at >= self._segment.size:
            following = self._following()
            if following is None:
                return None
            self._segment, self._at, self._loaded_to = following, following.done, following.done
        if self._at >= self._loaded_to:
            await self._load(self._segment)
        return self._cut(self._segment)

    async def finish(self, chunks: Sequence[Chunk]) -> None:
        """Remember that these are dealt with; chunks are finished in the order in which they were read."""
        finished = [
            segment
            for chunk in chunks
            for segment in self._spool.finish(chunk.segment, chunk.end, chunk.records)
        ]
        last = chunks[-1].segment

        def write() -> None:
            for each in finished:
                each.remove()
            if last not in finished:
                last.mark_done(chunks[-1].end)

        try:
            await self._spool.call(write)
        except OSError as error:
            _log.warning("spool_progress_not_kept", segment=last.path.name, error=str(error))

    def _following(self) -> Segment | None:
        """The file after the present one; files that are all done are not in the spool any more."""
        segments = self._spool.segments
        if self._segment is not None and self._segment in segments:
            place = segments.index(self._segment) + 1
            return segments[place] if place < len(segments) else None
        return segments[0] if segments else None

    async def _load(self, segment: Segment) -> None:
        start, end = self._at, segment.size
        buffer = await self._spool.call(lambda: segment.read(start, end))
        self._base, self._loaded_to = start, end
        self._found = frames.read(buffer)

    def _cut(self, segment: Segment) -> Chunk:
        records: list[Spooled] = []
        start = self._at
        while self._at - start < _CHUNK_BYTES and self._at < self._loaded_to:
            found = next(self._found, None)
            end = self._loaded_to if found is None else self._base + found.end
            if found is None or found.record is None:
                # These bytes were whole when they were written: something damaged them since.
                metrics.SPOOL_CORRUPT.inc()
                _log.error("spool_damaged", segment=segment.path.name, at=self._at, bytes=end - self._at)
            else:
                records.append(found.record)
            self._at = end
        return Chunk(segment, records, self._at)
