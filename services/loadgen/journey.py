"""What a visitor does: an endless series of visits, each a handful of pages, in the application's own order.

A journey is a generator: it yields the next request and is sent its answer (None when there was none). With the
same seed, run and answers it asks for the same things.
"""

from collections.abc import Generator
from dataclasses import dataclass
from itertools import accumulate
from random import Random

import msgspec

from services.loadgen import payloads
from services.loadgen.client import Answer, Check, Request
from services.loadgen.payloads import PROPERTIES, Page, Visit
from shared.contracts.events import AnyEvent
from shared.contracts.jobs import JobRequest, JobStatus, JobType
from shared.ids import derived_id

Journey = Generator[Request, Answer | None, None]

# Pauses in seconds, from and to; drawn evenly.
_READ_S = (1.5, 6.0)  # a page is read
_LOAD_S = (0.01, 0.1)  # the page asks for its data
_SETTLE_S = (0.3, 1.5)  # until the vitals are known
_POLL_S = (0.5, 1.0)  # a job is asked after

_PAGES = (2, 6)  # pages of a visit, from and to
# Shares of the pages on which it happens.
_ERROR_SHARE = 0.08
_ACTION_SHARE = 0.2
_JOB_SHARE = 0.04
_POLLS_MAX = 5
_FINAL = {JobStatus.COMPLETED, JobStatus.FAILED, JobStatus.CANCELLED}

#: Zipf with exponent 1, as popularity on the web is: the first property gets a sixth of all reads.
_POPULARITY = list(accumulate(1 / rank for rank in range(1, PROPERTIES + 1)))


@dataclass(frozen=True, slots=True)
class Services:
    """Where requests go, and what they show; without an address or its key, those steps are left out."""

    ingest: str
    public_key: str
    cache: str = ""
    jobs: str = ""
    secret_key: str = ""

    def left_out(self) -> list[str]:
        """The steps that visitors will not take, each with its reason."""
        said = []
        if not self.cache:
            said.append("no cached reads: CACHE_URL is not set")
        if not self.secret_key:
            said.append("no jobs: SIGNALBOX_SECRET_KEY is not set")
        elif not self.jobs:
            said.append("no jobs: JOBS_URL is not set")
        return said

    def addresses(self) -> list[str]:
        """All that will be asked."""
        return [url for url in (self.ingest, self.cache, self.jobs if self.secret_key else "") if url]


class _Job(msgspec.Struct):
    """What is read of `GET /v1/jobs/{id}`."""

    status: str = ""


class _Accepted(msgspec.Struct):
    """What is read of the answer to `POST /v1/events`."""

    accepted: int


def journey(services: Services, *, seed: int, run_id: str, visitor: int) -> Journey:
    """Everything that visitor number `visitor` will ever ask for."""
    random = Random(f"{seed}:{visitor}")
    number = 0
    while True:
        number += 1
        yield from _visit(services, random, f"{run_id[-12:]}-{visitor}-{number}")


def _visit(services: Services, random: Random, name: str) -> Journey:
    visit = payloads.visit(random, session_id=name)
    for number in range(random.randint(*_PAGES)):
        page = _page(random)
        yield _events(services, random.uniform(*_READ_S), payloads.page_view(visit, page))
        if services.cache:
            yield _cached_read(services, random, page)
        vitals = payloads.web_vitals(random, visit, page, metric_id=f"{name}-{number}")
        yield _events(services, random.uniform(*_SETTLE_S), *vitals)
        yield from _sometimes(services, random, visit, page)
        if services.jobs and services.secret_key and random.random() < _JOB_SHARE:
            yield from _job(services, random, derived_id("loadgen", name, str(number)))


def _page(random: Random) -> Page:
    """A property's page, mostly one of the popular ones, or an overview."""
    if random.random() < 0.6:
        number = random.choices(range(1, PROPERTIES + 1), cum_weights=_POPULARITY)[0]
        return Page("/properties/:id", f"/properties/{number}", f"Property {number}")
    return random.choice([Page("/", "/", "Overview"), Page("/technicians", "/technicians", "Technicians")])


def _sometimes(services: Services, random: Random, visit: Visit, page: Page) -> Journey:
    """What does not happen on every page."""
    if random.random() < _ERROR_SHARE:
        yield _events(services, random.uniform(*_LOAD_S), payloads.error(random, visit, page))
    if random.random() < _ACTION_SHARE:
        yield _events(services, random.uniform(*_SETTLE_S), payloads.action(random, visit, page))


def _events(services: Services, think_s: float, *events: AnyEvent) -> Request:
    return Request(
        "POST /v1/events",
        "POST",
        f"{services.ingest}/v1/events",
        think_s,
        {"Authorization": f"Bearer {services.public_key}", "Content-Type": "application/json"},
        payloads.encode(*events),
        accept=frozenset({202}),
        check=_accepts(len(events)),
    )


def _accepts(count: int) -> Check:
    """202 with fewer events than were sent is no success."""

    def check(answer: Answer) -> str:
        try:
            accepted = msgspec.json.decode(answer.body, type=_Accepted).accepted
        except msgspec.DecodeError:
            return "not the answer of ingest"
        return "" if accepted == count else "events rejected"

    return check


def _cached_read(services: Services, random: Random, page: Page) -> Request:
    key = "technicians:available"
    if page.template == "/properties/:id":
        key = page.path.lstrip("/").replace("/", ":")
    return Request("GET /v1/cache/{key}", "GET", f"{services.cache}/v1/cache/{key}", random.uniform(*_LOAD_S))


def _job(services: Services, random: Random, job_id: str) -> Journey:
    """Ask for a job, and after it until it is done; at first jobs may not know it, since it comes through Kafka."""
    body = msgspec.json.encode(JobRequest(id=job_id, type=JobType.UPDATE_STATISTICS))
    key = {"Authorization": f"Bearer {services.secret_key}"}
    enqueued = yield Request(
        "POST /v1/jobs",
        "POST",
        f"{services.ingest}/v1/jobs",
        random.uniform(*_SETTLE_S),
        key | {"Content-Type": "application/json"},
        body,
        accept=frozenset({202}),
    )
    if enqueued is None or enqueued.status != 202:
        return
    for _ in range(_POLLS_MAX):
        answer = yield Request(
            "GET /v1/jobs/{id}",
            "GET",
            f"{services.jobs}/v1/jobs/{job_id}",
            random.uniform(*_POLL_S),
            key,
            accept=frozenset({200, 404}),
        )
        if answer is not None and answer.status == 200 and _status(answer) in _FINAL:
            return


def _status(answer: Answer) -> str:
    try:
        return msgspec.json.decode(answer.body, type=_Job).status
    except msgspec.DecodeError:
        return ""
