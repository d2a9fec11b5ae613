"""A job's life: asked for, claimed, run, tried again, given up."""

import mailbox
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import msgspec
import pytest

from shared.contracts.jobs import DeadJob, JobRequest, JobStatusChange, JobType
from shared.contracts.topics import JOB_REQUESTS, JOBS_DEAD, JOBS_STATUS
from shared.ids import new_id
from tests.support import kafka
from tests.support.jobs_api import OPERATOR, enqueue, job
from tests.support.stacks import RunningStack
from tests.support.webhook import webhook


@pytest.mark.parametrize(
    ("type", "payload", "result"),
    [
        (JobType.SEND_NOTIFICATION, {"to": "ann", "title": "hello"}, {"delivered": ["inbox"]}),
        (JobType.GENERATE_REPORT, {"kind": "full", "hours": 1}, {"rows": None}),
        (JobType.CLEANUP_OLD_DATA, {}, {"deleted": None}),
        (JobType.UPDATE_STATISTICS, {"days": 2}, {"errors": None, "jobs_completed": None}),
        (
            JobType.SEND_EMAIL_BATCH,
            {"to": ["a@b.test", "c@d.test"], "subject": "s", "text": "t"},
            {"sent": 2},
        ),
    ],
)
async def test_every_type_does_its_work(
    jobs_url: str, type: JobType, payload: dict[str, Any], result: dict[str, Any]
) -> None:
    done = await job(jobs_url, await enqueue(jobs_url, type, payload), "completed", "failed")
    assert done["status"] == "completed", done["error"]
    assert done["attempts"] == 1
    assert result.keys() <= done["result"].keys()
    assert {name: done["result"][name] for name, value in result.items() if value is not None} == {
        name: value for name, value in result.items() if value is not None
    }


async def test_a_request_from_kafka_runs_once_however_often_it_is_sent(
    stack: RunningStack, jobs_url: str
) -> None:
    with webhook() as hook:
        payload = {"to": "bob", "title": "once", "webhook": hook.url}
        request = JobRequest(id=new_id(), type=JobType.SEND_NOTIFICATION, payload=payload, priority=9)
        bootstrap = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
        await kafka.put(bootstrap, JOB_REQUESTS, [msgspec.json.encode(request)] * 5)
        await job(jobs_url, request.id, "completed")
        await kafka.put(bootstrap, JOB_REQUESTS, [msgspec.json.encode(request)])
        marker = await enqueue(jobs_url, JobType.SEND_NOTIFICATION, payload | {"title": "marker"})
        await job(jobs_url, marker, "completed")
    assert [call["key"] for call in hook.calls] == [request.id, marker]


async def test_a_failed_attempt_is_tried_again_with_its_history(jobs_url: str) -> None:
    with webhook([503]) as hook:
        id = await enqueue(
            jobs_url, JobType.SEND_NOTIFICATION, {"to": "ann", "title": "again", "webhook": hook.url}
        )
        done = await job(jobs_url, id, "completed", "failed")
    assert (done["status"], done["attempts"], len(hook.calls)) == ("completed", 2, 2)
    assert [error["error"] for error in done["errors"]] == ["TryAgain: webhook answered 503"]


async def test_a_job_that_gives_up_is_told_with_its_whole_history_and_can_be_replayed(
    stack: RunningStack, jobs_url: str
) -> None:
    with webhook([500, 500]) as hook:
        payload = {"to": "ann", "title": "dead", "webhook": hook.url}
        id = await enqueue(jobs_url, JobType.SEND_NOTIFICATION, payload, max_attempts=2)
        assert (await job(jobs_url, id, "failed"))["attempts"] == 2
        bootstrap = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
        [record] = await kafka.find(bootstrap, JOBS_DEAD, lambda record: record.key == id.encode())
        dead = msgspec.json.decode(record.value, type=DeadJob)
        assert (dead.payload, [attempt.attempt for attempt in dead.history]) == (payload, [1, 2])
        async with httpx.AsyncClient(headers=OPERATOR) as client:
            response = await client.post(f"{jobs_url}/v1/dead-letters/replay", json={"ids": [id]})
        assert response.json() == {"replayed": [id]}
        await job(jobs_url, id, "completed")


async def test_an_error_that_cannot_heal_is_not_tried_again(jobs_url: str) -> None:
    id = await enqueue(jobs_url, JobType.SEND_NOTIFICATION, {"to": "ann"})
    failed = await job(jobs_url, id, "failed")
    assert failed["attempts"] == 1
    assert "title" in failed["error"]


async def test_every_change_of_state_is_told_in_order(stack: RunningStack, jobs_url: str) -> None:
    id = await enqueue(jobs_url, JobType.UPDATE_STATISTICS, {})
    records = await kafka.find(
        stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
        JOBS_STATUS,
        lambda record: record.key == id.encode(),
        count=3,
    )
    changes = [msgspec.json.decode(record.value, type=JobStatusChange) for record in records]
    assert [change.status for change in changes] == ["pending", "running", "completed"]


async def test_a_job_for_later_does_not_start_early_and_can_be_called_off(jobs_url: str) -> None:
    soon = datetime.now(UTC) + timedelta(seconds=1.5)
    later = datetime.now(UTC) + timedelta(hours=1)
    first = await enqueue(jobs_url, JobType.UPDATE_STATISTICS, {}, scheduled_at=soon.isoformat())
    second = await enqueue(jobs_url, JobType.UPDATE_STATISTICS, {}, scheduled_at=later.isoformat())
    done = await job(jobs_url, first, "completed")
    assert datetime.fromisoformat(done["last_attempt_at"]) >= soon
    assert (await job(jobs_url, second, "pending"))["attempts"] == 0
    async with httpx.AsyncClient(headers=OPERATOR) as client:
        assert (await client.post(f"{jobs_url}/v1/jobs/{second}/cancel")).json()["status"] == "cancelled"
        assert (await client.post(f"{jobs_url}/v1/jobs/{second}/cancel")).status_code == 409


async def test_an_idempotency_key_is_one_job(jobs_url: str) -> None:
    async with httpx.AsyncClient(headers={**OPERATOR, "Idempotency-Key": new_id()}) as client:
        answers = [
            await client.post(
                f"{jobs_url}/background-jobs?action=enqueue",
                json={"type": "update_statistics", "payload": {}},
            )
            for _ in range(3)
        ]
    assert len({answer.json()["id"] for answer in answers}) == 1


async def test_mail_reaches_each_recipient_once(jobs_url: str, mail_folder: Path) -> None:
    batch = {"to": ["ann@once.test", "ann@once.test", "bob@once.test"], "subject": "hello", "text": "there"}
    await job(jobs_url, await enqueue(jobs_url, JobType.SEND_EMAIL_BATCH, batch), "completed")
    delivered = [str(message["To"]) for message in mailbox.Maildir(mail_folder)]
    assert sorted(to for to in delivered if to.endswith("once.test")) == ["ann@once.test", "bob@once.test"]


async def test_process_runs_what_is_due_and_says_what_became_of_it(jobs_url: str) -> None:
    async with httpx.AsyncClient() as client:
        url = f"{jobs_url}/background-jobs?action=process&batch=10"
        assert (await client.get(url)).status_code == 401
        answer = (await client.get(url, headers=OPERATOR)).json()
    assert answer["processed"] == len(answer["jobs"])
