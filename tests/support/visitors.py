"""Visitors of a site: each sends its page views one after the other, so that the order of its events is known."""

import asyncio
import time
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import httpx
import msgspec
from aiokafka import AIOKafkaConsumer, TopicPartition

from shared.contracts import headers
from shared.contracts.topics import PAGE_VIEWS
from tests.support.stacks import SECRET_KEY
from tests.support.waiting import eventually


@dataclass
class Answer:
    """One request, as its sender saw it."""

    #: Of the event in it.
    id: str
    #: Of the visitor, which is the record's key.
    page: str
    number: int
    #: 0 when there was no answer at all.
    status: int
    #: What X-Signalbox-Durability said.
    durability: str
    #: When it was sent, on the monotonic clock, and how long it took, in seconds.
    at: float
    took_s: float


@dataclass
class Traffic:
    """What visitors sent so far."""

    answers: list[Answer] = field(default_factory=list)

    @property
    def acknowledged(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.status == 202]

    def statuses(self) -> set[int]:
        return {answer.status for answer in self.answers}

    def stored(self, durability: str) -> list[Answer]:
        return [answer for answer in self.acknowledged if answer.durability == durability]

    def since(self, start: float, end: float = float("inf")) -> "Traffic":
        """What was sent in a stretch of the monotonic clock."""
        return Traffic([answer for answer in self.answers if start <= answer.at < end])

    def quantile_s(self, q: float) -> float:
        """How long answers took."""
        took = sorted(answer.took_s for answer in self.answers)
        return took[min(len(took) - 1, int(q * len(took)))]

    async def reached(self, count: int) -> None:
        """Return when so many more were acknowledged."""
        goal = len(self.acknowledged) + count

        async def enough() -> bool:
            return len(self.acknowledged) >= goal

        await eventually(enough)


@asynccontextmanager
async def visitors(url: str, *, count: int = 20, pause_s: float = 0.05) -> AsyncIterator[Traffic]:
    """`count` visitors for as long as the block runs; each pauses after an answer, as people do."""
    traffic = Traffic()
    leaving = asyncio.Event()
    limits = httpx.Limits(max_connections=count)
    async with httpx.AsyncClient(
        base_url=url, headers={"Authorization": f"Bearer {SECRET_KEY}"}, timeout=30, limits=limits
    ) as client:

        async def visit(page: str) -> None:
            number = 0
            while not leaving.is_set():
                number += 1
                traffic.answers.append(await _send(client, page, number))
                await asyncio.sleep(pause_s)

        tasks = [asyncio.create_task(visit(f"/visitor/{uuid.uuid4()}")) for _ in range(count)]
        try:
            yield traffic
        finally:
            leaving.set()
            await asyncio.gather(*tasks)


async def _send(client: httpx.AsyncClient, page: str, number: int) -> Answer:
    id = str(uuid.uuid4())
    at = time.monotonic()
    try:
        response = await client.post(
            "/v1/events", json={"type": "page_view", "id": id, "page": page, "title": str(number)}
        )
        status, durability = response.status_code, response.headers.get("x-signalbox-durability", "")
    except httpx.HTTPError:
        status, durability = 0, ""
    return Answer(id, page, number, status, durability, at, time.monotonic() - at)


@dataclass
class OnKafka:
    """The page views on their topic."""

    #: Every id, as often as it is there.
    ids: list[str]
    #: By page, the numbers in the order in which they are first met.
    numbers: dict[str, list[int]]

    def lacks(self, traffic: Traffic) -> list[str]:
        """The ids of what was acknowledged and is not there."""
        there = set(self.ids)
        return [answer.id for answer in traffic.acknowledged if answer.id not in there]

    def disordered(self) -> list[str]:
        """The pages whose numbers do not rise."""
        return [page for page, numbers in self.numbers.items() if numbers != sorted(numbers)]


async def on_kafka(bootstrap: str) -> OnKafka:
    """Everything that is on the topic at this moment."""
    found = OnKafka([], {})
    seen: set[str] = set()
    partitions = [TopicPartition(PAGE_VIEWS.name, number) for number in range(PAGE_VIEWS.partitions)]
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap, enable_auto_commit=False) as consumer:
        consumer.assign(partitions)
        await consumer.seek_to_beginning()
        ends = await consumer.end_offsets(partitions)
        while any([await consumer.position(each) < ends[each] for each in partitions]):
            for records in (await consumer.getmany(timeout_ms=200)).values():
                for record in records:
                    id = headers.decode(record.headers).id
                    found.ids.append(id)
                    if id not in seen:
                        seen.add(id)
                        data = msgspec.json.decode(record.value)["data"]
                        if data.get("page", "").startswith("/visitor/"):
                            found.numbers.setdefault(data["page"], []).append(int(data["title"]))
    return found
