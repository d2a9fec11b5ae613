"""The command as people and CronJobs run it, against a real HTTP server that keeps its own record of the truth.

The server lives in this process, on a loop and a thread of its own; loadgen is a process. What loadgen reports is
compared with what the server measured: no assertion depends on how fast this machine is today.
"""

import asyncio
import json
import math
import os
import pty
import re
import shlex
import signal
import subprocess
import sys
import threading
import time
from collections import Counter, defaultdict
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import msgspec
import pytest
import uvicorn
from aiokafka import ConsumerRecord
from uvicorn._types import ASGIReceiveCallable, ASGISendCallable, Scope

from services.loadgen.generator import OWN_DELAY_MAX_MS
from services.loadgen.publish import publish
from services.loadgen.stats import Run, Stats
from shared.contracts import headers
from shared.contracts.load_tests import Latency, LoadTestResult, rate_p95
from shared.contracts.topics import LOAD_TESTS
from shared.ids import new_id
from shared.settings import KafkaSettings
from tests.support import kafka
from tests.support.stacks import RunningStack, free_ports

_DEADLINE_S = 60.0


class Server:
    """ingest, jobs and cache in outline, as slow as told, with a record of every request."""

    def __init__(self) -> None:
        #: Seconds that an endpoint waits before it answers.
        self.delays_s: dict[str, float] = {}
        #: What an endpoint answers in place of what it should.
        self.statuses: dict[str, int] = {}
        #: Requests after which the whole server freezes once, and for how long.
        self.freeze_after: int | None = None
        self.freeze_s = 0.0
        self.frozen_s = 0.0
        #: The truth: seconds from the first byte read to the last one written, by endpoint.
        self.times_s: defaultdict[str, list[float]] = defaultdict(list)
        self.events = 0
        self._polls: Counter[str] = Counter()
        config = uvicorn.Config(
            self._app,
            port=0,
            interface="asgi3",
            log_level="error",
            lifespan="off",
            timeout_graceful_shutdown=1,
        )
        self._uvicorn = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._uvicorn.run)

    def start(self) -> str:
        """Its address, once it answers."""
        self._thread.start()
        _wait_until(lambda: self._uvicorn.started, "the server to start")
        port = self._uvicorn.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"

    def stop(self) -> None:
        self._uvicorn.should_exit = True
        self._thread.join(_DEADLINE_S)

    @property
    def requests(self) -> int:
        return sum(map(len, self.times_s.values()))

    async def _app(self, scope: Scope, receive: ASGIReceiveCallable, send: ASGISendCallable) -> None:
        assert scope["type"] == "http"
        started_s = time.perf_counter()
        body = b""
        while True:
            message: Any = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        endpoint = _endpoint(scope["method"], scope["path"])
        status, answer = self._answer(endpoint, scope["path"], body)
        if endpoint != "GET /livez":
            self._freeze_when_told()
            await asyncio.sleep(self.delays_s.get(endpoint, 0.0))
        await send(
            {
                "type": "http.response.start",
                "status": self.statuses.get(endpoint, status),
                "headers": [(b"content-length", str(len(answer)).encode())],
                "trailers": False,
            }
        )
        if endpoint != "GET /livez":  # recorded before the client can know of it
            self.times_s[endpoint].append(time.perf_counter() - started_s)
        await send({"type": "http.response.body", "body": answer, "more_body": False})

    def _answer(self, endpoint: str, path: str, body: bytes) -> tuple[int, bytes]:
        if endpoint == "POST /v1/events":
            count = len(json.loads(body))
            self.events += count
            return 202, json.dumps({"accepted": count, "ids": [], "rejected": []}).encode()
        if endpoint == "POST /v1/jobs":
            return 202, json.dumps({"id": json.loads(body)["id"]}).encode()
        if endpoint == "GET /v1/jobs/{id}":
            self._polls[path] += 1
            return (404, b"{}") if self._polls[path] == 1 else (200, b'{"status": "completed"}')
        return 200, b"{}"

    def _freeze_when_told(self) -> None:
        if self.freeze_after is not None and self.requests >= self.freeze_after:
            self.freeze_after = None
            started_s = time.perf_counter()
            time.sleep(self.freeze_s)  # the loop stands still: nobody is answered
            self.frozen_s = time.perf_counter() - started_s


def _endpoint(method: str, path: str) -> str:
    path = re.sub("^/v1/cache/.+", "/v1/cache/{key}", path)
    return f"{method} {re.sub('^/v1/jobs/.+', '/v1/jobs/{id}', path)}"


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    server.stop()


@pytest.fixture
def url(server: Server) -> str:
    return server.start()


class Finished:
    """A finished process of loadgen."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        try:
            self.output, self.errors = process.communicate(timeout=_DEADLINE_S)
        except subprocess.TimeoutExpired:
            process.kill()
            self.output, self.errors = process.communicate()
            pytest.fail(f"loadgen did not end within {_DEADLINE_S:g} s: {self.errors}")
        self.status = process.returncode
        assert "Traceback" not in self.errors, self.errors


def _start(arguments: str, **variables: str) -> "subprocess.Popen[str]":
    environment = {"PATH": os.environ["PATH"], "SIGNALBOX_PUBLIC_KEY": "public", **variables}
    command = [sys.executable, "-m", "services.loadgen", *shlex.split(arguments)]
    pipe = subprocess.PIPE
    return subprocess.Popen(command, env=environment, stdin=pipe, stdout=pipe, stderr=pipe, text=True)


def _loadgen(arguments: str, **variables: str) -> Finished:
    return Finished(_start(arguments, **variables))


def _everywhere(url: str) -> dict[str, str]:
    return {"CACHE_URL": url, "JOBS_URL": url, "SIGNALBOX_SECRET_KEY": "secret"}


def _result(file: Path) -> LoadTestResult:
    return msgspec.json.decode(file.read_bytes(), type=LoadTestResult)


def _wait_until(condition: Any, what: str) -> None:
    deadline_s = time.monotonic() + _DEADLINE_S
    while not condition():
        assert time.monotonic() < deadline_s, f"waited in vain for {what}"
        time.sleep(0.005)


def _percentile_ms(times_s: list[float], percent: float) -> float:
    return 1e3 * sorted(times_s)[math.ceil(len(times_s) * percent / 100) - 1]


def _nobody() -> str:
    """A host and port that nobody listens on."""
    return f"127.0.0.1:{free_ports(1)[0]}"


def _verdict(run: Finished, status: int) -> None:
    """This status; or 4 with its sentence, where the machine was too busy for loadgen itself."""
    assert run.status == (4 if "do not believe these numbers" in run.output else status), (
        run.output + run.errors
    )


def test_what_is_reported_is_what_the_server_saw(server: Server, url: str, tmp_path: Path) -> None:
    server.delays_s = {"POST /v1/events": 0.05, "GET /v1/cache/{key}": 0.01}
    file = tmp_path / "result.json"
    run = _loadgen(
        f"run light --target {url} --users 4 --rate 60 --duration 4 --seed 34 --json {file}",
        **_everywhere(url),
    )
    _verdict(run, 0)
    result = _result(file)
    assert {e.name: e.requests for e in result.endpoints} == {n: len(t) for n, t in server.times_s.items()}
    assert result.requests == server.requests == 240
    assert (result.failures, result.success_rate, result.errors) == (0, 1.0, {})
    assert set(server.times_s) == {
        "POST /v1/events",
        "GET /v1/cache/{key}",
        "POST /v1/jobs",
        "GET /v1/jobs/{id}",
    }
    for endpoint in result.endpoints:
        _assert_is_the_truth(endpoint.latency_ms, server.times_s[endpoint.name], believed=run.status == 0)
    assert result.rating is rate_p95(result.latency_ms.p95)
    assert "POST /v1/events" in run.output
    assert f"rating: {result.rating}" in run.output


def _assert_is_the_truth(reported: Latency, times_s: list[float], *, believed: bool) -> None:
    """Never less than the server's own time; nor much more at the median, unless loadgen says that it was late."""
    for percent, value_ms in (
        (50, reported.p50),
        (95, reported.p95),
        (99, reported.p99),
        (100, reported.max),
    ):
        assert value_ms >= 0.999 * _percentile_ms(times_s, percent)
    assert reported.min >= 1e3 * min(times_s)
    if believed:
        assert reported.p50 < _percentile_ms(times_s, 50) + OWN_DELAY_MAX_MS


def test_a_frozen_server_is_charged_for_all_who_would_have_come_meanwhile(
    server: Server, url: str, tmp_path: Path
) -> None:
    server.freeze_after, server.freeze_s = 100, 0.8
    file = tmp_path / "result.json"
    run = _loadgen(f"run light --target {url} --rate 100 --duration 3 --json {file}")
    _verdict(run, 0)
    result = _result(file)
    assert result.requests == server.requests == 300  # nothing was held back, nothing dropped
    # Arrivals 10 ms apart wait for the end of the freeze: 15 of 300 wait longer than all but its first 0.15 s.
    assert result.latency_ms.p95 >= 0.99 * 1e3 * (server.frozen_s - 0.16)
    assert result.latency_ms.max >= 1e3 * (server.frozen_s - 0.01)
    assert _percentile_ms([t for times in server.times_s.values() for t in times], 95) < result.latency_ms.p95


def test_a_closed_run_thinks_between_requests_and_leaves_out_what_has_no_address(
    server: Server, url: str, tmp_path: Path
) -> None:
    report = tmp_path / "reports" / "first"
    run = _loadgen(f"run medium --target {url} --users 30 --duration 3 --report {report}")
    _verdict(run, 0)
    assert "left out: no cached reads: CACHE_URL is not set" in run.output
    result = _result(report / "result.json")
    assert (result.users, result.scenario, result.requests) == (30, "medium", server.requests)
    assert {endpoint.name for endpoint in result.endpoints} == {"POST /v1/events"}
    assert 2.9 < result.duration_s <= 3.0
    readable = (report / "report.md").read_text()
    assert readable.startswith("# Load test: medium: 30 users for 3 s against http://127.0.0.1:")
    assert f"| POST /v1/events | {result.requests} | 0 |" in readable


def test_a_missed_threshold_is_status_1_and_says_by_how_much(
    server: Server, url: str, tmp_path: Path
) -> None:
    server.delays_s = {"POST /v1/events": 0.2}
    file = tmp_path / "result.json"
    run = _loadgen(
        f"run light --target {url} --rate 30 --duration 1 --json {file} --fail-on 'p50<200ms,errors<1%'"
    )
    _verdict(run, 1)
    (missed,) = _result(file).thresholds_missed
    assert re.fullmatch(r"p50<200ms \(was \d+\.\d ms\)", missed)
    assert f"missed: {missed}" in run.output


def test_failures_are_counted_by_kind_and_stand_beside_the_rating(
    server: Server, url: str, tmp_path: Path
) -> None:
    server.statuses = {"POST /v1/events": 503}
    file = tmp_path / "result.json"
    run = _loadgen(f"run light --target {url} --rate 40 --duration 1 --json {file} --fail-on 'errors<1%'")
    _verdict(run, 1)
    assert _result(file).errors == {"status 503": 40}
    assert "but 100.00% of the requests failed" in run.output


def test_no_answer_in_time_is_a_timeout(server: Server, url: str, tmp_path: Path) -> None:
    server.delays_s = {"POST /v1/events": 5.0}
    file = tmp_path / "result.json"
    run = _loadgen(
        f"run light --target {url} --rate 10 --duration 0.5 --json {file}",
        SIGNALBOX_LOADGEN_REQUEST_TIMEOUT_S="0.2",
    )
    assert run.status == 3, run.output  # it is there, but it answered none of all the requests
    result = _result(file)
    assert result.errors == {"timeout": 5}
    assert result.latency_ms.min >= 200


def test_a_target_that_is_not_there_is_status_3(tmp_path: Path) -> None:
    run = _loadgen(f"run light --target http://{_nobody()}")
    assert run.status == 3
    assert re.fullmatch(r"loadgen: http://127.0.0.1:\d+ cannot be reached: connection refused\n", run.errors)


def test_a_service_of_the_journey_that_is_not_there_is_status_3(url: str) -> None:
    run = _loadgen(f"run light --target {url}", CACHE_URL=f"http://{_nobody()}")
    assert run.status == 3
    assert "connection refused" in run.errors


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ("", "usage: python -m services.loadgen"),
        ("run", "the following arguments are required: SCENARIO"),
        ("run tsunami --target http://127.0.0.1", "invalid choice: 'tsunami'"),
        ("run light", "say what to load: --target URL, or INGEST_URL"),
        ("run light --target http://example.com", "SIGNALBOX_LOADGEN_TARGETS_ALLOWED"),
        ("run light --target 127.0.0.1:8001", "is not an address such as http://127.0.0.1:8001"),
        ("run light --target http://127.0.0.1 --users 0", "'0' is not a positive whole number"),
        ("run light --target http://127.0.0.1 --rate fast", "'fast' is not a positive number"),
        ("run light --target http://127.0.0.1 --fail-on 'p95<200'", "a latency is in ms or s"),
        ("run light --target http://127.0.0.1 --json /proc/none/x", "cannot write /proc/none/x"),
    ],
)
def test_bad_usage_is_status_2_and_one_clear_line(arguments: str, said: str) -> None:
    run = _loadgen(arguments)
    assert run.status == 2
    assert said in run.errors.splitlines()[-1]
    assert run.output == ""


def test_without_a_key_it_says_which_variable_is_missing() -> None:
    run = _loadgen("run light --target http://127.0.0.1", SIGNALBOX_PUBLIC_KEY="")
    assert run.status == 2
    assert "SIGNALBOX_PUBLIC_KEY" in run.errors


def test_list_names_every_scenario() -> None:
    run = _loadgen("list")
    assert run.status == 0
    assert [line.split()[:2] for line in run.output.splitlines()] == [
        ["light", "50"],
        ["medium", "100"],
        ["heavy", "200"],
        ["stress", "500"],
        ["spike", "1000"],
    ]


def test_ctrl_c_stops_the_run_and_still_reports_all_of_it(server: Server, url: str, tmp_path: Path) -> None:
    file = tmp_path / "result.json"
    process = _start(f"run heavy --target {url} --rate 50 --json {file}")
    _wait_until(lambda: server.requests >= 100, "traffic")
    process.send_signal(signal.SIGINT)
    run = Finished(process)
    _verdict(run, 0)
    assert "interrupted after" in run.output
    assert _result(file).requests == server.requests


def test_a_second_ctrl_c_does_not_wait_for_answers(server: Server, url: str) -> None:
    server.delays_s = {"POST /v1/events": 3600.0}
    process = _start(f"run light --target {url} --rate 50", SIGNALBOX_LOADGEN_REQUEST_TIMEOUT_S="3600")
    assert process.stderr is not None
    _wait_until(lambda: server.events, "traffic")
    process.send_signal(signal.SIGINT)
    assert process.stderr.readline().startswith("stopping: waiting for the answers under way")
    process.send_signal(signal.SIGINT)
    run = Finished(process)
    assert "rating: none, nothing was measured" in run.output


def test_a_generator_that_is_frozen_half_of_the_time_does_not_blame_the_target(
    server: Server, url: str, tmp_path: Path
) -> None:
    """Goal: status 4. Method: SIGSTOP and SIGCONT in turn, for the whole run."""
    file = tmp_path / "result.json"
    process = _start(f"run light --target {url} --rate 40 --duration 3 --json {file}")
    _wait_until(lambda: server.requests >= 5, "traffic")
    while process.poll() is None:
        process.send_signal(signal.SIGSTOP)
        time.sleep(0.15)
        process.send_signal(signal.SIGCONT)
        time.sleep(0.15)
    run = Finished(process)
    assert run.status == 4, run.output
    assert re.search(r"do not believe these numbers: the generator itself was \d+ ms late", run.output)
    assert _result(file).requests == 120  # late, but nothing dropped


def test_kafka_out_of_reach_is_a_warning_and_not_a_failed_run(server: Server, url: str) -> None:
    run = _loadgen(
        f"run light --target {url} --rate 20 --duration 0.5",
        KAFKA_BOOTSTRAP_SERVERS=_nobody(),
    )
    _verdict(run, 0)
    assert "warning: not published: signalbox.load-tests.v1" in run.errors.splitlines()[-1]


async def test_visitors_of_the_real_services_are_answered_and_the_outcome_is_published(
    stack: RunningStack, ingest_url: str, jobs_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "result.json"
    arguments = f"run light --target {ingest_url} --users 4 --rate 30 --duration 4 --seed 9 --json {file}"
    addresses = {"JOBS_URL": jobs_url, "CACHE_URL": ""}
    run = await asyncio.to_thread(_loadgen, arguments, **{**stack.environment, **addresses})
    _verdict(run, 0)
    result = _result(file)
    assert (result.requests, result.errors) == (120, {})
    assert {e.name for e in result.endpoints} == {"POST /v1/events", "POST /v1/jobs", "GET /v1/jobs/{id}"}
    if run.status == 0:
        published = await _published(stack, result.id)
        assert msgspec.json.decode(published.value, type=LoadTestResult) == result


async def test_an_outcome_is_published_under_its_id_with_the_headers_of_the_contract(
    stack: RunningStack,
) -> None:
    result = Stats().result(Run(new_id(), "light", "http://127.0.0.1", datetime.now(UTC), 50, 30.0))
    config = KafkaSettings.model_validate(
        {
            "KAFKA_BOOTSTRAP_SERVERS": stack.environment["KAFKA_BOOTSTRAP_SERVERS"],
            "kafka_idempotence": stack.apache_kafka,
        }
    )
    await publish(config, result)
    record = await _published(stack, result.id)
    told = headers.decode(record.headers)
    assert (told.id, told.type, told.schema) == (result.id, LOAD_TESTS.type, LOAD_TESTS.schema)


async def _published(stack: RunningStack, run_id: str) -> ConsumerRecord:
    servers = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    (record,) = await kafka.find(servers, LOAD_TESTS, lambda record: record.key == run_id.encode())
    return record


def test_the_menu_runs_what_was_chosen() -> None:
    """On a terminal, without arguments; the target that is typed here is refused, which ends the run at once."""
    primary, secondary = pty.openpty()
    environment = {"PATH": os.environ["PATH"], "SIGNALBOX_PUBLIC_KEY": "public", "TERM": "dumb"}
    process = subprocess.Popen(
        [sys.executable, "-m", "services.loadgen"],
        env=environment,
        stdin=secondary,
        stdout=secondary,
        stderr=subprocess.PIPE,
        text=True,
    )
    os.close(secondary)
    os.write(primary, b"9\n1\nhttp://example.com\n\n")
    _, errors = process.communicate(timeout=_DEADLINE_S)
    shown = os.read(primary, 65536).decode()
    os.close(primary)
    assert process.returncode == 2
    assert "example.com is neither this machine nor listed" in errors
    assert "1  light" in shown
    assert "A number from 0 to 5, please." in shown
