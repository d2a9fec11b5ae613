"""Kafka clients, with every option that matters spelled out, and the check that topics exist.

`python -m shared.kafka create-topics` creates what the topic table names and leaves existing topics alone;
`make up` and compose run it.
"""

import asyncio
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaError, TopicAlreadyExistsError, for_code

from shared import settings
from shared.contracts.topics import DEAD_LETTER_BYTES_MAX, TOPICS, Topic
from shared.errors import ConfigurationError, MissingTopics, Retryable, SignalboxError

#: A session of 6 s is the shortest that Kafka's default `group.min.session.timeout.ms` allows: a killed
#: member's partitions move on after it.
SESSION_TIMEOUT_MS = 6_000
HEARTBEAT_INTERVAL_MS = 2_000  # a third of the session, as Kafka's documentation advises
_ADMIN_TIMEOUT_S = 30.0


def producer(
    config: settings.KafkaSettings, *, client_id: str, compression: str | None = None
) -> AIOKafkaProducer:
    """A producer whose acknowledgement means: every in-sync replica has the record.

    With idempotence aiokafka never gives a batch up, so whoever awaits a send sets a deadline of their own.
    """
    return AIOKafkaProducer(
        bootstrap_servers=config.kafka_bootstrap_servers,
        client_id=client_id,
        acks="all",
        enable_idempotence=config.kafka_idempotence,
        request_timeout_ms=config.kafka_request_timeout_ms,
        retry_backoff_ms=100,
        compression_type=compression,
        linger_ms=0,  # requests that arrive while one is in flight form the next batch by themselves
        max_batch_size=262_144,  # the default of 16 KiB caps throughput at partitions x 16 KiB a round trip
        max_request_size=DEAD_LETTER_BYTES_MAX,  # each topic has its own limit at the broker
    )


def consumer(
    config: settings.KafkaSettings,
    topics: Iterable[Topic],
    *,
    client_id: str,
    group_id: str | None,
    from_start: bool = True,
    records_max: int = 500,
) -> AIOKafkaConsumer:
    """A consumer that commits only when told to; `group_id=None` reads every partition on its own."""
    return AIOKafkaConsumer(
        *(topic.name for topic in topics),
        bootstrap_servers=config.kafka_bootstrap_servers,
        client_id=client_id,
        group_id=group_id,
        enable_auto_commit=False,
        auto_offset_reset="earliest" if from_start else "latest",
        isolation_level="read_committed",
        session_timeout_ms=SESSION_TIMEOUT_MS,
        heartbeat_interval_ms=HEARTBEAT_INTERVAL_MS,
        rebalance_timeout_ms=SESSION_TIMEOUT_MS,
        max_poll_records=records_max,
        request_timeout_ms=config.kafka_request_timeout_ms,
        retry_backoff_ms=100,
        metadata_max_age_ms=60_000,
    )


async def require_topics(config: settings.KafkaSettings, topics: Sequence[Topic]) -> None:
    """Return when every topic exists.

    Raises MissingTopics with the names of those that do not, and Retryable while Kafka cannot be reached.
    """
    admin = _admin(config)
    try:
        async with asyncio.timeout(_ADMIN_TIMEOUT_S):
            await admin.start()
            existing = set(await admin.list_topics())
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retryable(f"Kafka at {config.kafka_bootstrap_servers} cannot be reached: {error}") from error
    finally:
        await admin.close()
    missing = [topic.name for topic in topics if topic.name not in existing]
    if missing:
        raise MissingTopics(missing)


async def create_topics(config: settings.KafkaSettings) -> list[str]:
    """Create the topics of the table that do not exist yet, and return their names.

    Raises Retryable while Kafka cannot be reached, ConfigurationError when it refuses a topic.
    """
    admin = _admin(config)
    try:
        async with asyncio.timeout(_ADMIN_TIMEOUT_S):
            await admin.start()
            existing = set(await admin.list_topics())
            new = [topic for topic in TOPICS.values() if topic.name not in existing]
            if not new:
                return []
            response = await admin.create_topics(
                [_new_topic(topic, config.kafka_replication) for topic in new]
            )
    except (KafkaError, OSError, TimeoutError) as error:
        raise Retryable(f"Kafka at {config.kafka_bootstrap_servers} cannot be reached: {error}") from error
    finally:
        await admin.close()
    for name, code, *message in response.topic_errors:
        error_type = for_code(code)
        if code != 0 and error_type is not TopicAlreadyExistsError:
            raise ConfigurationError(f"Kafka refused topic {name}: {error_type.__name__} {message}")
    return [topic.name for topic in new]


def _admin(config: settings.KafkaSettings) -> AIOKafkaAdminClient:
    return AIOKafkaAdminClient(
        bootstrap_servers=config.kafka_bootstrap_servers,
        client_id="signalbox-admin",
        request_timeout_ms=config.kafka_request_timeout_ms,
    )


def _new_topic(topic: Topic, replication: int) -> NewTopic:
    configs: dict[str, Any] = {
        "cleanup.policy": topic.cleanup.value,
        "max.message.bytes": str(topic.record_bytes_max),
    }
    if topic.cleanup == "delete":
        configs["retention.ms"] = str(topic.retention_ms)
    return NewTopic(
        topic.name, num_partitions=topic.partitions, replication_factor=replication, topic_configs=configs
    )


def _main(arguments: Sequence[str]) -> int:
    if list(arguments) != ["create-topics"]:
        print("usage: python -m shared.kafka create-topics", file=sys.stderr)  # noqa: T201 - a command's usage
        return 2
    try:
        created = asyncio.run(create_topics(settings.load(settings.KafkaSettings)))
    except SignalboxError as error:
        print(f"create-topics: {error}", file=sys.stderr)  # noqa: T201
        return 1
    print(f"topics: {len(created)} created, {len(TOPICS) - len(created)} there already")  # noqa: T201
    return 0


if __name__ == "__main__":
    sys.exit(_main(sys.argv[1:]))
