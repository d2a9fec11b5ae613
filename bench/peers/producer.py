"""`AIOKafkaProducer.send()` with no HTTP: the records that ingest would make, handed over one by one.

    python -m bench.peers.producer BODIES plain|full SECONDS

Prints `records seconds cpu_seconds`. `full` records have ingest's key, value and headers; `plain` ones have the value
alone. At most 5 000 records wait for their acknowledgement.
"""

import asyncio
import itertools
import os
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvloop

from services.ingest.accept import Acceptor
from services.ingest.messages import Arrival
from shared import kafka
from shared.settings import KafkaSettings

_UNACKNOWLEDGED_MAX = 5_000


def _records(bodies: Path, *, full: bool) -> list[tuple[str, bytes, bytes | None, Any]]:
    arrival = Arrival(datetime.now(UTC), "1", "server", f"00-{os.urandom(16).hex()}-{os.urandom(8).hex()}-00")
    acceptor = Acceptor(items_max=1_000)
    messages = [
        m for body in bodies.read_bytes().splitlines() for m in acceptor.events(body, arrival).messages
    ]
    return [(m.topic.name, m.value, m.key if full else None, m.headers if full else None) for m in messages]


async def _send(records: list[tuple[str, bytes, bytes | None, Any]], seconds: float) -> str:
    producer = kafka.producer(KafkaSettings(), client_id="bench")
    await producer.start()
    room = asyncio.Semaphore(_UNACKNOWLEDGED_MAX)
    acknowledged = 0

    def done(future: asyncio.Future[Any]) -> None:
        nonlocal acknowledged
        future.result()
        acknowledged += 1
        room.release()

    cpu, started = time.process_time(), time.perf_counter()
    for topic, value, key, headers in itertools.cycle(records):
        await room.acquire()
        future = await producer.send(topic, value, key=key, headers=headers)
        future.add_done_callback(done)
        if time.perf_counter() - started >= seconds:
            break
    await producer.flush()
    taken = time.perf_counter() - started
    used = time.process_time() - cpu
    await producer.stop()
    return f"{acknowledged} {taken} {used}"


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        path, kind, duration = sys.argv[1:]
        print(runner.run(_send(_records(Path(path), full=kind == "full"), float(duration))))
