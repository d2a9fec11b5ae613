"""The settings of the cache service."""

import os
import socket

from pydantic import Field

from shared.settings import HttpSettings, KafkaSettings, KeySettings, PostgresSettings, RedisSettings

_MIB = 1024 * 1024


class CacheSettings(HttpSettings, KafkaSettings, PostgresSettings, RedisSettings, KeySettings):
    """One replica: its API, its L1, and its reader of invalidations."""

    cache_port: int = 8003
    #: This replica's name in logs, in stats and at Kafka; it must differ from every other replica's.
    cache_replica_name: str = Field(default_factory=lambda: f"{socket.gethostname()}-{os.getpid()}")
    #: Entries that the process itself holds, at most.
    cache_l1_entries_max: int = Field(default=50_000, ge=1)
    #: The bytes of those entries, at most.
    cache_l1_bytes_max: int = Field(default=64 * _MIB, ge=1024)
    #: How long an entry is served from L1 before Redis is asked again: the bound on staleness of a replica that
    #: gets no invalidations.
    cache_l1_ttl_s: float = Field(default=3.0, ge=0)
    #: The longest time to live that a caller may ask for.
    cache_ttl_max_s: int = Field(default=86_400, ge=1)
    #: The largest value, in bytes of JSON; a larger one from PostgreSQL is answered, but not stored.
    cache_value_bytes_max: int = Field(default=_MIB, ge=1024)
    #: Names of which the cache remembers when they were invalidated. One more, and it forgets every entry instead.
    cache_tombstones_max: int = Field(default=100_000, ge=100)
    #: How long a command may take on Redis before the replica goes on without it.
    cache_redis_timeout_s: float = Field(default=0.25, gt=0)
    #: How often a replica without Redis looks whether it is back.
    cache_redis_retry_s: float = Field(default=0.5, gt=0)
    #: Connections to Redis, at most.
    cache_redis_connections_max: int = Field(default=32, ge=1)
    #: How long a fill from PostgreSQL may take, waiting for a connection included.
    cache_fill_timeout_s: float = Field(default=5.0, gt=0)
    #: How long Kafka may take to acknowledge an invalidation.
    cache_publish_timeout_s: float = Field(default=5.0, gt=0)
    #: How long a starting replica waits for Kafka.
    cache_start_timeout_s: float = Field(default=60.0, gt=0)
