"""Jobs from a shell and from the caller's own transaction."""

import json
import subprocess
import sys
from datetime import UTC, datetime, timedelta

import asyncpg

from deploy.local.settings import PROJECT
from shared.contracts.jobs import JobType
from shared.ids import new_id
from tests.support.jobs_api import enqueue, job
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually


def command(stack: RunningStack, *arguments: str) -> tuple[int, str, str]:
    done = subprocess.run(
        [sys.executable, "-m", "services.jobs", *arguments],
        cwd=PROJECT,
        env={"PATH": "", **stack.environment},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


async def test_a_job_exists_exactly_when_the_callers_transaction_does(
    stack: RunningStack, jobs_url: str
) -> None:
    kept, undone = new_id(), new_id()
    connection = await asyncpg.connect(stack.environment["POSTGRES_DSN"])
    try:
        async with connection.transaction():
            await connection.execute("SELECT enqueue_job('update_statistics', job_id => $1)", kept)
            await connection.execute("SELECT enqueue_job('update_statistics', job_id => $1)", kept)
        transaction = connection.transaction()
        await transaction.start()
        await connection.execute("SELECT enqueue_job('update_statistics', job_id => $1)", undone)
        await transaction.rollback()
        assert (await job(jobs_url, kept, "completed"))["attempts"] == 1
        assert await connection.fetchval("SELECT count(*) FROM background_jobs WHERE id = $1", undone) == 0
    finally:
        await connection.close()


async def test_a_failed_job_is_found_shown_and_run_again_from_a_shell(
    stack: RunningStack, jobs_url: str
) -> None:
    id = await enqueue(jobs_url, JobType.SEND_NOTIFICATION, {"to": "ann"})
    await job(jobs_url, id, "failed")
    status, listed, _ = command(stack, "list", "--status", "failed", "--limit", "1000")
    assert (status, any(line.startswith(id) for line in listed.splitlines())) == (0, True)
    shown = json.loads(command(stack, "show", id)[1])
    assert (shown["attempts"], shown["status"]) == (1, "failed")
    assert command(stack, "retry", id)[1] == f"{id} runs again\n"

    async def ran_again() -> bool:
        return len((await job(jobs_url, id, "failed"))["errors"]) == 2

    await eventually(ran_again)


async def test_a_waiting_job_is_called_off_from_a_shell(stack: RunningStack, jobs_url: str) -> None:
    later = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    id = await enqueue(jobs_url, JobType.UPDATE_STATISTICS, {}, scheduled_at=later)
    assert command(stack, "cancel", id)[0] == 0
    status, _, said = command(stack, "cancel", id)
    assert (status, said) == (1, f"jobs: there is no job {id} that has not ended\n")


def test_bad_usage_is_status_2_and_an_absent_database_one_line(stack: RunningStack) -> None:
    assert command(stack, "dance")[0] == 2
    away = RunningStack("", True, {**stack.environment, "POSTGRES_DSN": "postgresql://x@127.0.0.1:1/x"})
    status, _, said = command(away, "stats")
    assert (status, said.count("\n")) == (1, 1)
