"""What a replica tells about itself, since it was started."""

from typing import Annotated

from msgspec import Meta, Struct

from services.cache import metrics
from services.cache.backend import Backend
from services.cache.classes import CLASSES
from services.cache.follower import Follower
from services.cache.memory import Memory
from services.cache.settings import CacheSettings


class ClassStats(Struct, kw_only=True):
    """Counts of one cache class."""

    ttl_s: Annotated[int, Meta(description="Time to live, in seconds.")]
    hits_l1: Annotated[int, Meta(description="Gets answered by this process itself.")]
    hits_l2: Annotated[int, Meta(description="Gets answered by Redis.")]
    misses: Annotated[int, Meta(description="Gets that needed the source.")]
    stale: Annotated[int, Meta(description="Gets answered from L1 unconfirmed, since the source was away.")]
    sets: Annotated[int, Meta(description="Values set by callers.")]
    hit_rate: Annotated[float | None, Meta(description="Hits among hits and misses; null before the first.")]


class L1Stats(Struct, kw_only=True):
    """What the process itself holds."""

    entries: Annotated[int, Meta(description="Entries held.")]
    entries_max: Annotated[int, Meta(description="Entries it may hold.")]
    bytes: Annotated[int, Meta(description="Bytes they take.")]
    bytes_max: Annotated[int, Meta(description="Bytes they may take.")]


class Stats(Struct, kw_only=True):
    """One replica's numbers."""

    replica: Annotated[str, Meta(description="This replica's name.")]
    classes: Annotated[dict[str, ClassStats], Meta(description="By cache class.")]
    l1: Annotated[L1Stats, Meta(description="L1.")]
    redis_in_use: Annotated[bool, Meta(description="False while the replica goes on without Redis.")]
    invalidations_applied: Annotated[int, Meta(description="Records applied.")]
    positions: Annotated[dict[int, int], Meta(description="The next offset to read, by partition.")]


def collect(settings: CacheSettings, memory: Memory, backend: Backend, follower: Follower) -> Stats:
    """The numbers of now."""
    return Stats(
        replica=settings.cache_replica_name,
        classes={name: _of_class(name) for name in CLASSES},
        l1=L1Stats(
            entries=memory.entries,
            entries_max=memory.entries_max,
            bytes=memory.bytes,
            bytes_max=memory.bytes_max,
        ),
        redis_in_use=backend.available,
        invalidations_applied=follower.applied,
        positions=follower.positions,
    )


def _of_class(name: str) -> ClassStats:
    hits_l1 = metrics.by_class(metrics.HITS, name, level="l1")
    hits_l2 = metrics.by_class(metrics.HITS, name, level="l2")
    misses = metrics.by_class(metrics.MISSES, name)
    gets = hits_l1 + hits_l2 + misses
    return ClassStats(
        ttl_s=CLASSES[name].ttl_s,
        hits_l1=hits_l1,
        hits_l2=hits_l2,
        misses=misses,
        stale=metrics.by_class(metrics.STALE, name),
        sets=metrics.by_class(metrics.SETS, name),
        hit_rate=round((hits_l1 + hits_l2) / gets, 4) if gets else None,
    )
