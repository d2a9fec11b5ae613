"""Publishes a run's outcome on Kafka, where jobs stores it for `GET /v1/load-tests`."""

import asyncio

import msgspec
from aiokafka.errors import KafkaError

from shared import kafka
from shared.contracts import headers
from shared.contracts.load_tests import LoadTestResult
from shared.contracts.topics import LOAD_TESTS
from shared.errors import PublishError
from shared.settings import KafkaSettings

_TIMEOUT_S = 10.0


async def publish(config: KafkaSettings, result: LoadTestResult) -> None:
    """Returning means that every in-sync replica has the outcome. Raises PublishError."""
    producer = kafka.producer(config, client_id="signalbox-loadgen")
    try:
        async with asyncio.timeout(_TIMEOUT_S):
            await producer.start()
            await producer.send_and_wait(
                LOAD_TESTS.name,
                msgspec.json.encode(result),
                key=result.id.encode(),
                headers=headers.encode(
                    id=result.id, type=LOAD_TESTS.type, schema=LOAD_TESTS.schema, source="loadgen"
                ),
            )
    except TimeoutError as error:
        raise PublishError(LOAD_TESTS.name, f"no acknowledgement within {_TIMEOUT_S:g} s") from error
    except (KafkaError, OSError) as error:
        raise PublishError(LOAD_TESTS.name, str(error)) from error
    finally:
        await producer.stop()
