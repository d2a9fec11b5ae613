"""@sentry/browser, unmodified, in Chromium: a page that throws, is clicked and shifts; with a DSN, and through a tunnel."""

import asyncio
import json
import shutil
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.async_api import Browser, BrowserContext, Request, async_playwright
from prometheus_client.parser import text_string_to_metric_families

from shared.contracts.events import Envelope, Metric
from shared.contracts.topics import ERRORS, METRICS
from tests.e2e.real_clients.programs import FOLDER, matching
from tests.support.jobs_api import get
from tests.support.stacks import RunningStack
from tests.support.waiting import eventually
from tests.unit.clients.collector import Collector

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PAGE = """<!doctype html><title>Shop</title>
<script src="/app.js" data-options='{options}'></script>
<div id="space"></div><h1>A headline that is the largest paint</h1><button id="buy">Buy</button>
<script>
  buy.onclick = () => {{
    const end = performance.now() + 120;
    while (performance.now() < end);
    setTimeout(() => {{ space.style.height = "200px" }}, 600);  // long after the click, so it is a shift
  }};
</script>"""

PAINTED = """new Promise((done) => {
  new PerformanceObserver(() => done(true)).observe({ type: "largest-contentful-paint", buffered: true });
})"""
VITALS = ("LCP", "INP", "CLS", "FCP", "TTFB", "transaction.duration")

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
async def context(browser: Browser) -> AsyncIterator[BrowserContext]:
    """A profile that outlives the test, since pages send their last words after they are left."""
    context = await browser.new_context()
    yield context
    await context.close()


@pytest.fixture
def site() -> Iterator[Collector]:
    """The shop's own server."""
    with Collector() as site:
        yield site


async def bundle(version: int, folder: Path) -> bytes:
    """The page's program with that version of the SDK, as esbuild puts them together."""
    built = folder / "app.js"
    esbuild = await asyncio.create_subprocess_exec(
        FOLDER / "node_modules/.bin/esbuild",
        FOLDER / "sentry_browser.entry.js",
        "--bundle",
        "--minify",
        "--log-level=error",
        f"--alias:@sentry/browser=sentry-browser-{version}",
        f"--outfile={built}",
        cwd=FOLDER,
    )
    assert await esbuild.wait() == 0
    return built.read_bytes()


@pytest.mark.parametrize("version", [8, 9, 10, 11])
async def test_a_page_reports(
    context: BrowserContext,
    site: Collector,
    stack: RunningStack,
    dsn: dict[str, str],
    ingest_url: str,
    jobs_url: str,
    node: str,
    tmp_path: Path,
    version: int,
) -> None:
    path, release = f"/shop-{version}", f"shop-web@{version}.47.3"
    options = {"dsn": dsn["SENTRY_DSN"], "release": release}
    before = await preflights(ingest_url)
    await visit(context, site, path, await bundle(version, tmp_path), options)
    assert await preflights(ingest_url) == before

    thrown, rejected = await errors_of(stack, site.url + path)
    error = thrown.data
    assert thrown.source == "sentry"
    assert error.message == "Cannot read properties of null (reading 'price')"
    assert (error.exception_type, error.handled, error.level) == ("TypeError", False, "error")
    assert (error.url, error.page, error.device) == (site.url + path, path, "desktop")
    assert (error.release, error.environment) == (release, "ci")
    assert (error.user, error.tags) == ("u-1093", {"shop": "berlin"})
    assert error.frames[0].function == "fail"
    assert error.frames[0].file == f"{site.url}/app.js"
    assert "ui.click" in {crumb.category for crumb in error.breadcrumbs}
    assert error.contexts["sdk"]["version"].startswith(f"{version}.")
    assert (rejected.data.exception_type, rejected.data.handled) == ("RangeError", False)

    vitals = {name: await metric_of(stack, name, release) for name in VITALS}
    assert vitals["LCP"].attribution["element"] == "body > h1"
    assert vitals["INP"].attribution["target"] == "body > button#buy"
    assert vitals["INP"].value >= 100
    assert 0 < vitals["CLS"].value < 1
    assert 0 < vitals["FCP"].value <= vitals["LCP"].value < 60_000
    assert {metric.device for metric in vitals.values()} == {"desktop"}
    assert {metric.unit for name, metric in vitals.items() if name != "CLS"} == {"ms"}
    assert {vitals[name].page for name in ("LCP", "FCP", "TTFB", "transaction.duration")} == {path}

    async def stored() -> bool:
        found = (await get(f"{jobs_url}/v1/vitals", page=path))["vitals"]
        return {"LCP", "FCP", "TTFB"} <= {vital["metric"] for vital in found}

    await eventually(stored)


async def test_a_page_reports_through_a_tunnel(
    context: BrowserContext,
    site: Collector,
    stack: RunningStack,
    dsn: dict[str, str],
    ingest_url: str,
    node: str,
    tmp_path: Path,
) -> None:
    options = {"dsn": dsn["SENTRY_DSN"], "tunnel": f"{ingest_url}/api/1/envelope/"}
    await visit(context, site, "/tunnelled", await bundle(11, tmp_path), options)
    thrown, _ = await errors_of(stack, f"{site.url}/tunnelled")
    assert thrown.data.exception_type == "TypeError"


async def preflights(ingest_url: str) -> float:
    """How many CORS preflights ingest has answered."""
    async with httpx.AsyncClient() as http:
        families = text_string_to_metric_families((await http.get(f"{ingest_url}/metrics")).text)
    counted = [
        sample
        for family in families
        if family.name == "signalbox_ingest_http_requests"
        for sample in family.samples
    ]
    return sum(sample.value for sample in counted if sample.labels.get("method") == "OPTIONS")


async def visit(
    context: BrowserContext, site: Collector, path: str, script: bytes, options: dict[str, str]
) -> None:
    """Open the page, click, throw, reject, and leave once the SDK takes the page for loaded."""
    site.files["/app.js"] = ("text/javascript", script)
    page_html = PAGE.format(options=json.dumps(options)).encode()
    site.files[path] = ("text/html; charset=utf-8", page_html)
    page = await context.new_page()
    async with page.expect_request(_tells_of_the_page_load):
        await page.goto(site.url + path)
        await page.evaluate(PAINTED)  # no paint counts as the largest after the first input
        await page.click("#buy")
        await page.evaluate("setTimeout(shop.fail, 0)")
        await page.evaluate("void Promise.reject(new RangeError('out of stock'))")
        await page.wait_for_function("space.style.height")
    await page.goto("about:blank")


def _tells_of_the_page_load(request: Request) -> bool:
    """As a transaction up to v10, in a container of spans from then on."""
    return "/api/1/envelope/" in request.url and '"pageload"' in (request.post_data or "")


async def errors_of(stack: RunningStack, url: str) -> list[Envelope[Any]]:
    """What was thrown, and what was rejected, on the page of that address."""
    found = await matching(stack, ERRORS, lambda record: f'"url":"{url}"'.encode() in record.value, count=2)
    return sorted(found, key=lambda envelope: envelope.data.exception_type, reverse=True)


async def metric_of(stack: RunningStack, name: str, release: str) -> Metric:
    """The first metric of that name and release."""
    parts = (f'"name":"{name}"'.encode(), f'"release":"{release}"'.encode())
    found = await matching(stack, METRICS, lambda record: all(part in record.value for part in parts))
    metric: Metric = found[0].data
    return metric
