"""Runs the programs beside this file, and finds on Kafka what came of them."""

import asyncio
import json
import os
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
from aiokafka import ConsumerRecord

from shared.contracts import headers
from shared.contracts.events import Envelope
from shared.contracts.topics import Topic
from tests.support import kafka
from tests.support.stacks import RunningStack

FOLDER = Path(__file__).parent
_ENDS_WITHIN_S = 60.0


async def run(command: Sequence[str], variables: Mapping[str, str]) -> Any:
    """Run a program of this folder to its end; the JSON in its last line of output."""
    ended = await asyncio.to_thread(
        subprocess.run,
        command,
        cwd=FOLDER,
        env={**os.environ, **variables},
        capture_output=True,
        text=True,
        timeout=_ENDS_WITHIN_S,
    )
    assert ended.returncode == 0, ended.stderr
    return json.loads(ended.stdout.splitlines()[-1])


async def by_id(stack: RunningStack, topic: Topic, id: str) -> Envelope[Any]:
    """The record of an event, decoded by its topic's contract."""
    [found] = await matching(stack, topic, lambda record: headers.decode(record.headers).id == id)
    return found


async def matching(
    stack: RunningStack, topic: Topic, wanted: Callable[[ConsumerRecord], bool], *, count: int = 1
) -> list[Envelope[Any]]:
    """So many records of a topic, decoded by its contract."""
    records = await kafka.find(stack.environment["KAFKA_BOOTSTRAP_SERVERS"], topic, wanted, count=count)
    found: list[Envelope[Any]] = [msgspec.json.decode(record.value, type=topic.payload) for record in records]
    return found
