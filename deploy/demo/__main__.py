"""`python -m deploy.demo`: start everything, send real traffic of every kind, and show what became of it.

Stays up until Ctrl-C; with `ONCE=1` it stops everything after the summary. Exit status 0 only if every part did
its work.
"""

import asyncio
import os
import sys
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import asyncpg
import httpx
from rich.console import Console

from deploy.demo import browser, cache, counts, load, producers, summary
from deploy.demo.site import Site, running_site
from deploy.demo.summary import Outcome
from deploy.demo.waiting import NotSeen, until
from deploy.local.errors import LocalStackError
from deploy.local.settings import Settings
from deploy.local.stack import Stack
from signalbox_client import Client

_BROWSER_VISITS = 3
_console = Console()


def main() -> int:
    """Returns the exit status."""
    once = os.environ.get("ONCE", "") not in ("", "0")
    environ = {"CACHE_REPLICAS": "2", **os.environ, "SIGNALBOX_WEBHOOK_HOSTS": "127.0.0.1"}
    try:
        settings = Settings.from_environ(environ)
        stack = Stack(settings, _say)
    except LocalStackError as error:
        print(f"signalbox: {error}", file=sys.stderr)
        return 1
    try:
        status = _run(stack, settings.state_dir, environ)
        if status == 0 and not once:
            _say("everything stays up; Ctrl-C stops it")
            asyncio.run(_forever())
        return status
    except KeyboardInterrupt:
        return 0
    finally:
        stack.down()


def _run(stack: Stack, folder: Path, environ: Mapping[str, str]) -> int:
    try:
        environment = {**environ, **stack.up()}
        outcome = asyncio.run(_exercise(environment, folder))
    except (LocalStackError, NotSeen, httpx.HTTPError) as error:
        print(f"signalbox: {error}", file=sys.stderr)
        return 1
    summary.show(outcome, _console)
    wrong = summary.failures(outcome)
    for sentence in wrong:
        print(f"signalbox: {sentence}", file=sys.stderr)
    return 1 if wrong else 0


async def _exercise(environment: Mapping[str, str], folder: Path) -> Outcome:
    """Send the traffic, wait until it has arrived, and gather what there is to see."""
    ingest, jobs = environment["INGEST_URL"], environment["JOBS_URL"]
    secret = environment["SIGNALBOX_SECRET_KEY"]
    connection = await asyncpg.connect(environment["POSTGRES_DSN"], timeout=10)
    try:
        async with httpx.AsyncClient(timeout=15, trust_env=False) as http:
            since = await connection.fetchval("SELECT clock_timestamp()")
            before = await counts.accepted(http, ingest)
            with running_site(ingest=ingest, key=environment["SIGNALBOX_PUBLIC_KEY"]) as site:
                chromium = await _browse(site)
                _say("server     events and jobs through the Python client, an error through Sentry's SDK")
                asked = await asyncio.to_thread(_produce, environment, site)
                _say("cache      two replicas")
                cached = await cache.exercise(
                    http,
                    environment["CACHE_URLS"].split(","),
                    ingest=ingest,
                    secret_key=secret,
                    dsn=environment["POSTGRES_DSN"],
                )
                _say("load       light: 50 users for 30 s")
                load_status, result = await load.light(environment, folder)
                retried = await _ended(http, jobs, asked.retried)
                dead = await _ended(http, jobs, asked.dead)
                for id in asked.complete.values():
                    await _ended(http, jobs, id)
            accepted, stored = await _settled(http, ingest, connection, before, since)
            stats = (await http.get(f"{jobs}/v1/jobs/stats")).json()
            issues = (await http.get(f"{jobs}/v1/issues", params={"limit": 1000})).json()["issues"]
            hit_rate = await cache.hit_rate(http, environment["CACHE_URLS"].split(","))
            return Outcome(
                accepted=accepted,
                stored=stored,
                vitals=(await http.get(f"{jobs}/v1/vitals")).json()["vitals"],
                issues=issues,
                jobs=stats["by_status"],
                completed_by_type={
                    type: by_status["completed"]
                    for type, by_status in stats["by_type"].items()
                    if by_status.get("completed")
                },
                retried=retried,
                dead=dead,
                cache=cached._replace(hit_rate=hit_rate),
                load_status=load_status,
                load=result,
                browser=chromium,
                sentry_errors=sum(issue["title"].startswith("ZeroDivisionError") for issue in issues),
                browser_errors=sum("declined" in issue["title"] for issue in issues),
                console=jobs,
            )
    finally:
        await connection.close()


async def _browse(site: Site) -> str | None:
    chromium = browser.chromium()
    if chromium is None:
        _say("browser    no Chromium here: monitoring.js is not exercised")
        return None
    _say(f"browser    {chromium} loads a page with monitoring.js")
    await browser.visit(chromium, site.url, visits=_BROWSER_VISITS)
    return chromium


def _produce(environment: Mapping[str, str], site: Site) -> producers.Jobs:
    with Client(environment["INGEST_URL"], environment["SIGNALBOX_SECRET_KEY"]) as client:
        producers.send_events(client)
        producers.report_with_sentry(environment["SENTRY_DSN"])
        return producers.ask_for_jobs(client, site)


async def _ended(http: httpx.AsyncClient, jobs: str, id: str) -> dict[str, Any]:
    """The job, once it is in a final state."""

    async def look() -> dict[str, Any] | None:
        response = await http.get(f"{jobs}/v1/jobs/{id}")
        job = response.json() if response.status_code == 200 else {}
        return job if job.get("status") in ("completed", "failed", "cancelled") else None

    return await until(look, f"job {id} to end")


async def _settled(
    http: httpx.AsyncClient,
    ingest: str,
    connection: asyncpg.Connection,
    before: Mapping[str, int],
    since: datetime,
) -> tuple[dict[str, int], dict[str, int]]:
    """Accepted and stored since the start, once they are equal, or as they are when they do not become so."""

    accepted: dict[str, int] = {}
    stored: dict[str, int] = {}

    async def equal() -> bool:
        nonlocal accepted, stored
        accepted = counts.grown(await counts.accepted(http, ingest), before)
        stored = await counts.stored(connection, since)
        return accepted == stored

    with suppress(NotSeen):  # the summary says which kind is short
        await until(equal, "everything accepted to be stored", within_s=30)
    return accepted, stored


async def _forever() -> None:
    await asyncio.Event().wait()


def _say(line: str) -> None:
    _console.print(f"{datetime.now(UTC):%H:%M:%S}  {line}", highlight=False)


if __name__ == "__main__":
    sys.exit(main())
