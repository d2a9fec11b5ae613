"""The topic table keeps what was promised to people who use Kafka beside us."""

import re

import pytest

from docs.generate import environment
from shared.contracts.topics import TOPICS, Cleanup, Topic, used_by

#: Promised names; a topic may be added, and none of these may go or be renamed.
PROMISED = [
    "signalbox.errors.v1",
    "signalbox.metrics.v1",
    "signalbox.page-views.v1",
    "signalbox.events.v1",
    "signalbox.jobs.requests.v1",
    "signalbox.jobs.dispatch.p0.v1",
    "signalbox.jobs.dispatch.p1.v1",
    "signalbox.jobs.dispatch.p2.v1",
    "signalbox.jobs.dispatch.p3.v1",
    "signalbox.jobs.retry.1s.v1",
    "signalbox.jobs.retry.10s.v1",
    "signalbox.jobs.retry.1m.v1",
    "signalbox.jobs.retry.10m.v1",
    "signalbox.jobs.dead.v1",
    "signalbox.jobs.status.v1",
    "signalbox.web-vitals.v1",
    "signalbox.issues.v1",
    "signalbox.cache.invalidations.v1",
    "signalbox.load-tests.v1",
]
COMPACTED = {"signalbox.jobs.status.v1", "signalbox.web-vitals.v1"}


def test_promised_topics_exist() -> None:
    assert set(PROMISED) <= set(TOPICS)


def test_compacted_topics_are_those_whose_last_record_is_the_state() -> None:
    assert {topic.name for topic in TOPICS.values() if topic.cleanup is Cleanup.COMPACT} == COMPACTED


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_names_are_versioned(topic: Topic) -> None:
    assert re.fullmatch(r"signalbox\.[a-z0-9.-]+\.v1", topic.name)
    assert topic.schema == "urn:signalbox:" + topic.name.removeprefix("signalbox.").replace(".v1", ":v1")


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_writers_and_readers_are_services(topic: Topic) -> None:
    assert topic.producers
    assert {*topic.producers, *topic.consumers} <= set(environment.SERVICES)


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_topics_we_read_have_a_dead_letter_that_their_readers_write(topic: Topic) -> None:
    if not topic.consumers:
        assert topic.dead_letter is None
        return
    assert topic.dead_letter is not None
    dead = TOPICS[topic.dead_letter]
    assert dead.payload is None
    assert set(topic.consumers) <= set(dead.producers)
    assert dead.retention_ms >= topic.retention_ms


@pytest.mark.parametrize("topic", TOPICS.values(), ids=TOPICS)
def test_a_service_requires_every_topic_it_writes_or_reads(topic: Topic) -> None:
    for service in (*topic.producers, *topic.consumers):
        assert topic in used_by(service)
