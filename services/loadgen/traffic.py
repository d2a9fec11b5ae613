"""Visitors on their journeys, in one of two models.

Closed: a fixed number of visitors, each of whom thinks after an answer and then asks again; a slow target is asked
less. Open: requests start at a rate, whatever the answers do; a slow target gets a queue, as it would in life.
"""

import asyncio
from collections import deque
from contextlib import AsyncExitStack
from dataclasses import dataclass
from random import Random
from ssl import SSLContext, create_default_context
from time import perf_counter
from typing import Self

from services.loadgen.client import Client
from services.loadgen.journey import Services, journey
from services.loadgen.pacer import Pacer, arrivals
from services.loadgen.stats import Stats


@dataclass(frozen=True, slots=True)
class Load:
    """How much is asked for."""

    users: int
    duration_s: float
    #: Within how long the visitors of the closed model arrive.
    ramp_s: float
    #: Requests a second in the open model; None is the closed one.
    rate_rps: float | None
    seed: int
    #: A request without an answer after this long has failed.
    timeout_s: float


class Visitor:
    """Somebody on a journey, with connections of their own."""

    def __init__(
        self, client: Client, services: Services, stats: Stats, load: Load, run_id: str, number: int
    ):
        self._client = client
        self._stats = stats
        self._journey = journey(services, seed=load.seed, run_id=run_id, visitor=number)
        self._next = next(self._journey)

    @property
    def think_s(self) -> float:
        """The pause before the next request."""
        return self._next.think_s

    async def act(self, intended_s: float) -> None:
        """Send the next request, count what came of it, and decide on the one after."""
        sample, answer = await self._client.send(self._next, intended_s)
        self._stats.record(sample)
        self._next = self._journey.send(answer)


class Crowd:
    """The visitors of a run; it opens and closes their connections: `async with Crowd(...) as crowd`."""

    def __init__(self, services: Services, stats: Stats, load: Load, run_id: str) -> None:
        self._services = services
        self._stats = stats
        self._load = load
        self._run_id = run_id
        self._tls: SSLContext = create_default_context()  # costs 20 ms; once is enough
        self._connections = AsyncExitStack()
        self.visitors: list[Visitor] = []

    async def __aenter__(self) -> Self:
        for _ in range(self._load.users):
            await self.join()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._connections.aclose()

    async def join(self) -> Visitor:
        """One visitor more."""
        client = Client(self._tls, timeout_s=self._load.timeout_s)
        await self._connections.enter_async_context(client)
        visitor = Visitor(client, self._services, self._stats, self._load, self._run_id, len(self.visitors))
        self.visitors.append(visitor)
        return visitor


async def closed(crowd: Crowd, pacer: Pacer, load: Load) -> None:
    """Run the closed model to its end; returning means that the last answer has come, or timed out."""
    starts = Random(load.seed)
    async with asyncio.TaskGroup() as group:
        for visitor in crowd.visitors:
            first_s = pacer.start_s + starts.uniform(0, load.ramp_s)
            group.create_task(_wander(visitor, pacer, first_s))


async def _wander(visitor: Visitor, pacer: Pacer, due_s: float) -> None:
    while await pacer.until(due_s):
        await visitor.act(due_s)
        due_s = perf_counter() + visitor.think_s


async def open_(crowd: Crowd, pacer: Pacer, load: Load, rate_rps: float) -> None:
    """Run the open model to its end: the next idle visitor takes each arrival, or a new one when all still wait.

    What is under way at the same time is bounded by the rate times the request timeout.
    """
    idle = deque(crowd.visitors)

    async def arrive(visitor: Visitor, due_s: float) -> None:
        await visitor.act(due_s)
        idle.append(visitor)

    async with asyncio.TaskGroup() as group:
        for due_s in arrivals(pacer.start_s, rate_rps, load.duration_s):
            if not await pacer.until(due_s):
                return
            visitor = idle.popleft() if idle else await crowd.join()
            group.create_task(arrive(visitor, due_s))
