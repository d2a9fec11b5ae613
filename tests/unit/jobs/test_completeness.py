"""Tables that belong together say the same."""

from services.jobs.agents import agents
from services.jobs.handlers import HANDLERS
from services.jobs.publisher import Message, message
from services.jobs.relay import _TOPICS
from shared.contracts.jobs import JobType
from shared.contracts.topics import DISPATCH, JOBS_DEAD, RETRIES, used_by


def test_every_job_type_has_a_handler() -> None:
    assert set(HANDLERS) == set(JobType)


def test_every_topic_that_jobs_consumes_has_a_reader() -> None:
    read = {*agents(None, None, {}, batch_records_max=1), *DISPATCH.values(), *RETRIES.values()}  # type: ignore[arg-type]
    assert read == {topic for topic in used_by("jobs") if "jobs" in topic.consumers}


def test_every_topic_that_jobs_tells_of_has_a_kind_in_the_outbox() -> None:
    dead = {topic.dead_letter for topic in used_by("jobs")}
    own = {topic for topic in used_by("jobs") if topic.producers == ("jobs",) and topic.name not in dead}
    assert set(_TOPICS.values()) == own - {*DISPATCH.values(), *RETRIES.values()}


def test_a_message_that_kafka_would_not_take_is_known_beforehand() -> None:
    small = message(JOBS_DEAD, key="k", id="i", payload={"text": "x" * 1_000_000})
    assert small.fits()
    assert not Message(small.topic, small.key, (small.value or b"") * 2, small.headers).fits()
