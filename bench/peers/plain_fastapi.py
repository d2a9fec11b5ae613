"""The usual way: FastAPI, pydantic models as parameters, aiokafka's `send_and_wait`, a 202 after the acknowledgement."""

import asyncio
import os
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Annotated, Literal

import uvicorn
from aiokafka import AIOKafkaProducer
from fastapi import FastAPI
from pydantic import BaseModel, Field

TOPICS = {"page_view": "signalbox.page-views.v1", "metric": "signalbox.metrics.v1"}


class Common(BaseModel):
    """What both types have."""

    timestamp: datetime | None = None
    session_id: str = Field("", max_length=64)
    url: str = ""
    page: str = Field("", max_length=512)
    release: str = Field("", max_length=200)
    device: Literal["mobile", "tablet", "desktop", "unknown"] = "unknown"


class PageView(Common):
    """As `shared.contracts.events.PageView`."""

    type: Literal["page_view"]
    title: str = ""
    referrer: str = ""


class Metric(Common):
    """As `shared.contracts.events.Metric`."""

    type: Literal["metric"]
    name: str = Field(min_length=1, max_length=200)
    value: float
    unit: str = Field("", max_length=32)
    metric_id: str = Field("", max_length=100)


Event = Annotated[PageView | Metric, Field(discriminator="type")]


class Accepted(BaseModel):
    """The answer."""

    ids: list[str]


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    """Connect to Kafka, with the options that our own producer has."""
    producer = AIOKafkaProducer(
        bootstrap_servers=os.environ["KAFKA_BOOTSTRAP_SERVERS"],
        acks="all",
        enable_idempotence=True,
        max_batch_size=262_144,
    )
    await producer.start()
    app.state.producer = producer
    yield
    await producer.stop()


app = FastAPI(lifespan=lifespan)


async def _publish(event: PageView | Metric) -> str:
    await app.state.producer.send_and_wait(
        TOPICS[event.type], event.model_dump_json().encode(), key=event.page.encode()
    )
    return str(uuid.uuid4())


@app.post("/v1/event", status_code=202)
async def one(event: Event) -> Accepted:
    """Publish one event."""
    return Accepted(ids=[await _publish(event)])


@app.post("/v1/events", status_code=202)
async def many(events: list[Event]) -> Accepted:
    """Publish a list of events."""
    return Accepted(ids=await asyncio.gather(*(_publish(event) for event in events)))


if __name__ == "__main__":
    uvicorn.run(
        app, port=int(sys.argv[1]), loop="uvloop", http="httptools", access_log=False, log_level="warning"
    )
