"""What visitors ask for: the same with the same seed, plausible, marked, and within the contract."""

from collections import Counter
from itertools import takewhile
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.loadgen.client import Answer, Request
from services.loadgen.journey import Services, journey
from shared.contracts.cache import CacheKey
from shared.contracts.events import AnyEvent, CustomEvent, Error, Metric, PageView
from shared.contracts.jobs import JobRequest
from shared.contracts.vitals import THRESHOLDS

_ALL = Services("http://i", "public", cache="http://c", jobs="http://j", secret_key="secret")
_EVENTS = msgspec.json.Decoder(list[AnyEvent])


def _requests(
    count: int, *, services: Services = _ALL, seed: int = 1, run_id: str = "r", visitor: int = 0
) -> list[Request]:
    """The first requests of a visitor to whom everything is answered well, jobs at their third poll."""
    going = journey(services, seed=seed, run_id=run_id, visitor=visitor)
    requests = [next(going)]
    polls: Counter[str] = Counter()
    while len(requests) < count:
        requests.append(going.send(_answer(requests[-1], polls)))
    return requests


def _answer(request: Request, polls: Counter[str]) -> Answer:
    if request.endpoint != "GET /v1/jobs/{id}":
        return Answer(202 if request.method == "POST" else 200, b"{}")
    polls[request.url] += 1
    return Answer(404, b"{}") if polls[request.url] < 3 else Answer(200, b'{"status": "completed"}')


def _plan(requests: list[Request]) -> list[tuple[Any, ...]]:
    return [(r.method, r.url, r.body, r.think_s) for r in requests]


@settings(max_examples=25)
@given(seed=st.integers(), visitor=st.integers(min_value=0, max_value=10**6))
def test_the_same_seed_is_the_same_traffic(seed: int, visitor: int) -> None:
    first, again = (_plan(_requests(60, seed=seed, visitor=visitor)) for _ in range(2))
    assert first == again


def test_another_seed_visitor_or_run_is_other_traffic() -> None:
    plans = [
        _plan(_requests(60)),
        _plan(_requests(60, seed=2)),
        _plan(_requests(60, visitor=1)),
        _plan(_requests(60, run_id="s")),
    ]
    assert all(one != other for n, one in enumerate(plans) for other in plans[:n])


def test_two_runs_never_ask_for_the_same_job() -> None:
    ids = [
        {
            msgspec.json.decode(r.body)["id"]
            for r in _requests(800, run_id=run_id)
            if r.endpoint == "POST /v1/jobs"
        }
        for run_id in ("run-one", "run-two")
    ]
    assert ids[0]
    assert not ids[0] & ids[1]


def test_every_event_is_of_the_contract_and_marked_as_synthetic() -> None:
    kinds: Counter[type] = Counter()
    for request in _requests(2000):
        if request.endpoint == "POST /v1/events":
            for event in _EVENTS.decode(request.body):
                kinds[type(event)] += 1
                assert (event.tags, event.environment) == ({"synthetic": "loadgen"}, "loadgen")
    assert set(kinds) == {PageView, Metric, Error, CustomEvent}


def test_web_vitals_are_plausible_and_cls_has_no_unit() -> None:
    values: dict[str, list[float]] = {}
    for request in _requests(3000):
        for event in _EVENTS.decode(request.body) if request.endpoint == "POST /v1/events" else []:
            if isinstance(event, Metric):
                values.setdefault(event.name, []).append(event.value)
                assert event.unit == ("" if event.name == "CLS" else "ms")
    assert set(values) == {"LCP", "INP", "CLS", "FCP", "TTFB"}
    for name, measured in values.items():
        median = sorted(measured)[len(measured) // 2]
        assert 0 < median < THRESHOLDS[name].good, name
        assert max(measured) > THRESHOLDS[name].good, name  # not every visit is a good one


def test_errors_are_a_handful_of_distinct_ones() -> None:
    titles = {
        (event.exception_type, event.message)
        for request in _requests(5000)
        if request.endpoint == "POST /v1/events"
        for event in _EVENTS.decode(request.body)
        if isinstance(event, Error)
    }
    assert 3 <= len(titles) <= 8


def test_cached_reads_have_valid_keys_and_a_few_of_them_are_most_of_the_reads() -> None:
    reads = [r.url.partition("/v1/cache/")[2] for r in _requests(6000) if r.endpoint == "GET /v1/cache/{key}"]
    msgspec.convert(reads, list[CacheKey])
    properties = Counter(key for key in reads if key.startswith("properties:"))
    assert "technicians:available" in reads
    assert sum(count for _, count in properties.most_common(20)) > sum(properties.values()) / 2
    assert len(properties) > 40


def test_a_job_is_asked_after_until_it_is_done_and_not_being_there_yet_is_no_failure() -> None:
    requests = _requests(2000)
    start = next(n for n, r in enumerate(requests) if r.endpoint == "POST /v1/jobs")
    job = msgspec.json.decode(requests[start].body, type=JobRequest)
    polls = list(takewhile(lambda r: r.endpoint == "GET /v1/jobs/{id}", requests[start + 1 :]))
    assert [poll.url for poll in polls] == [f"http://j/v1/jobs/{job.id}"] * 3
    assert all({200, 404} == poll.accept for poll in polls)
    assert requests[start].headers["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("services", "absent", "said"),
    [
        (Services("http://i", "p", jobs="http://j", secret_key="s"), "GET /v1/cache/{key}", "CACHE_URL"),
        (Services("http://i", "p", cache="http://c", secret_key="s"), "POST /v1/jobs", "JOBS_URL"),
        (Services("http://i", "p", cache="http://c", jobs="http://j"), "POST /v1/jobs", "SECRET_KEY"),
    ],
)
def test_steps_without_their_service_are_left_out_and_said(
    services: Services, absent: str, said: str
) -> None:
    assert absent not in {request.endpoint for request in _requests(1000, services=services)}
    assert [said in line for line in services.left_out()] == [True]


def test_the_journey_goes_on_when_nothing_is_answered() -> None:
    going = journey(_ALL, seed=1, run_id="r", visitor=0)
    request = next(going)
    endpoints = {request.endpoint}
    for _ in range(1000):
        request = going.send(None)
        endpoints.add(request.endpoint)
    assert endpoints == {
        "POST /v1/events",
        "GET /v1/cache/{key}",
        "POST /v1/jobs",
    }  # no polls of unknown jobs


@pytest.mark.parametrize(
    ("body", "failure"),
    [
        (b'{"accepted": 1, "ids": ["a"], "rejected": []}', ""),
        (b'{"accepted": 0, "ids": [], "rejected": [{"index": 0, "reason": "no"}]}', "events rejected"),
        (b"<html>", "not the answer of ingest"),
    ],
)
def test_202_is_a_success_only_when_every_event_was_accepted(body: bytes, failure: str) -> None:
    (request,) = _requests(1)
    assert request.check is not None
    assert request.check(Answer(202, body)) == failure
