"""What Prometheus, an orchestrator and a Kafka consumer see: the same of every service."""

import json
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import jsonschema
import pytest

from deploy.local.settings import PROJECT
from shared.contracts.topics import ERRORS, EVENTS, METRICS, PAGE_VIEWS, Topic
from shared.ids import new_id
from tests.support import kafka
from tests.support.processes import ServiceProcess
from tests.support.stacks import PUBLIC_KEY, SECRET_KEY, RunningStack

SERVICES = ("ingest", "jobs", "cache")


@pytest.fixture(scope="module")
def cache_url(stack: RunningStack, logs: Path) -> Iterator[str]:
    with ServiceProcess("cache", stack.environment, logs / "cache-operations.log") as cache:
        yield cache.url


@pytest.fixture(params=SERVICES)
def service_url(request: pytest.FixtureRequest) -> str:
    return str(request.getfixturevalue(f"{request.param}_url"))


@pytest.fixture
def http() -> Iterator[httpx.Client]:
    with httpx.Client(timeout=10) as client:
        yield client


def test_probes_answer(service_url: str, http: httpx.Client) -> None:
    assert http.get(f"{service_url}/livez").json() == {"status": "ok"}
    ready = http.get(f"{service_url}/readyz").json()
    assert ready["status"] == "ok"
    assert all(word.startswith("ok") for word in ready["checks"].values())


def test_metrics_follow_the_conventions(service_url: str, http: httpx.Client) -> None:
    http.get(f"{service_url}/livez")
    response = http.get(f"{service_url}/metrics")
    assert "signalbox_" in response.text
    if shutil.which("promtool") is None:
        pytest.skip("promtool (Debian's prometheus) is not installed")
    checked = subprocess.run(
        ["promtool", "check", "metrics"],
        input=response.text,
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert (checked.returncode, checked.stdout, checked.stderr) == (0, "", "")


def test_what_is_not_there_is_a_problem(service_url: str, http: httpx.Client) -> None:
    for response in (http.get(f"{service_url}/nowhere"), http.delete(f"{service_url}/livez")):
        assert response.status_code in (404, 405)
        assert response.headers["content-type"] == "application/problem+json"
        assert response.json()["status"] == response.status_code


def test_the_openapi_document_names_every_route_of_the_contract(service_url: str, http: httpx.Client) -> None:
    document = http.get(f"{service_url}/openapi.json").json()
    assert document["openapi"].startswith("3.1")
    assert {"/livez", "/readyz", "/metrics"} <= document["paths"].keys()


@pytest.mark.parametrize(
    ("topic", "event"),
    [
        (METRICS, {"type": "metric", "name": "LCP", "value": 2100.5, "page": "/", "rating": "good"}),
        (
            ERRORS,
            {"type": "error", "message": "boom", "stack": "Error: boom\n    at f (https://a.test/x.js:1:1)"},
        ),
        (PAGE_VIEWS, {"type": "page_view", "page": "/", "title": "Home"}),
        (EVENTS, {"type": "event", "name": "signup", "properties": {"plan": "team"}}),
    ],
    ids=lambda value: value.name if isinstance(value, Topic) else None,
)
async def test_a_consumer_finds_what_the_published_schema_says(
    stack: RunningStack, ingest_url: str, topic: Topic, event: dict[str, object]
) -> None:
    id = new_id()
    async with httpx.AsyncClient() as client:
        answer = await client.post(f"{ingest_url}/v1/events?key={PUBLIC_KEY}", json={**event, "id": id})
    assert answer.json()["ids"] == [id]
    bootstrap = stack.environment["KAFKA_BOOTSTRAP_SERVERS"]
    [record] = await kafka.find(
        bootstrap, topic, lambda record: dict(record.headers).get("ce_id") == id.encode()
    )
    schema = json.loads((PROJECT / "docs" / "schemas" / f"{topic.name}.json").read_text())
    jsonschema.validate(json.loads(record.value), schema)
    headers = dict(record.headers)
    assert headers["ce_type"] == topic.type.encode()
    assert headers["ce_dataschema"] == schema["$id"].encode()
    assert headers["traceparent"]


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/changes"])
async def test_the_public_key_only_writes_events(ingest_url: str, path: str) -> None:
    async with httpx.AsyncClient() as client:
        bodies = {"/v1/jobs": {"type": "update_statistics"}, "/v1/changes": {"entity": "technicians"}}
        statuses = [
            (
                await client.post(
                    f"{ingest_url}{path}", json=bodies[path], headers={"Authorization": f"Bearer {key}"}
                )
            )
            for key in (PUBLIC_KEY, "sbsk_nobodys", SECRET_KEY)
        ]
    assert [response.status_code for response in statuses] == [403, 401, 202]
