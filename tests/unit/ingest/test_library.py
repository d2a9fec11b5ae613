"""The browser library, as it is served."""

from pathlib import Path

import httpx
import pytest
from fastapi import FastAPI

from services.ingest import library
from shared import http

SCRIPT = b"window.signalbox = {};"


def client(path: Path) -> httpx.AsyncClient:
    app = FastAPI()
    app.include_router(library.build(path))
    http.install(app, service="ingest", checks={})
    return httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://ingest")


@pytest.fixture
def script(tmp_path: Path) -> Path:
    path = tmp_path / "monitoring.js"
    path.write_bytes(SCRIPT)
    return path


async def test_the_latest_is_cached_for_a_while_and_then_compared(script: Path) -> None:
    async with client(script) as browser:
        first = await browser.get("/monitoring.js")
        tag = first.headers["etag"]
        again = [
            await browser.get("/monitoring.js", headers={"If-None-Match": sent})
            for sent in (tag, f"W/{tag}", f'"other", {tag}', "*")
        ]
        other = await browser.get("/monitoring.js", headers={"If-None-Match": '"other"'})
    assert (first.status_code, first.content) == (200, SCRIPT)
    assert first.headers["content-type"].startswith("text/javascript")
    assert "max-age=3600" in first.headers["cache-control"]
    assert [(response.status_code, response.content) for response in again] == [(304, b"")] * 4
    assert {response.headers["etag"] for response in again} == {tag}
    assert other.status_code == 200


async def test_a_version_is_cached_for_ever_under_its_hash(script: Path) -> None:
    async with client(script) as browser:
        hash = (await browser.head("/monitoring.js")).headers["etag"].strip('"')
        version = await browser.get(f"/monitoring-{hash}.js")
        unknown = await browser.get("/monitoring-0123456789abcdef.js")
    assert version.content == SCRIPT
    assert "immutable" in version.headers["cache-control"]
    assert unknown.status_code == 404


async def test_without_a_build_it_is_not_found(tmp_path: Path) -> None:
    async with client(tmp_path / "monitoring.js") as browser:
        response = await browser.get("/monitoring.js")
    assert response.status_code == 404
    assert response.headers["content-type"] == "application/problem+json"


def test_the_library_that_is_served_is_built() -> None:
    assert library.PATH.is_file()
