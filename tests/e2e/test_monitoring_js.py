"""`monitoring.js` in real Chromium: what a page does, and what arrives at ingest's address, field by field.

The page and the collector have two origins, as a customer's site and ingest have. Every event must be one
that `shared.contracts.events` decodes.
"""

import asyncio
import json
import re
import shutil
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
from playwright.async_api import Browser, BrowserContext, Page, async_playwright

from shared.contracts.events import AnyEvent
from tests.unit.clients.collector import Answer, Collector, Request

BUILT = Path(__file__).parents[2] / "services/ingest/web/monitoring.js"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-background-networking"]
PAGE = """<!doctype html><title>Shop</title>
<script src="{collector}/monitoring.js" data-key="sbpk_test" data-release="1.2.3" data-environment="ci"></script>
<div id="space"></div><h1 class="hero">A headline that is the largest paint</h1><button id="buy">Buy</button>
<script>
  buy.onclick = () => {{ const end = performance.now() + 120; while (performance.now() < end); }};
</script>"""
HTML = "text/html; charset=utf-8"

pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="needs Chromium (Debian's package chromium)")


@pytest.fixture(scope="module")
async def browser() -> AsyncIterator[Browser]:
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield browser
        await browser.close()


@pytest.fixture
def collector() -> Iterator[Collector]:
    with Collector() as collector:
        collector.files["/monitoring.js"] = ("text/javascript", BUILT.read_bytes())
        yield collector


@pytest.fixture
def site(collector: Collector) -> Iterator[str]:
    with Collector() as site:
        page = PAGE.format(collector=collector.url).encode()
        site.files |= {"/": (HTML, page), "/items/1": (HTML, page)}
        yield site.url


@pytest.fixture
async def context(browser: Browser, collector: Collector) -> AsyncIterator[BrowserContext]:
    """A fresh profile; at its end nothing has been thrown into the page, nor asked of the server in advance."""
    context = await browser.new_context()
    yield context
    await context.close()
    assert {request.method for request in collector.requests} <= {"POST"}, "a CORS preflight was sent"
    for event in collector.events:
        msgspec.convert(event, AnyEvent)


@pytest.fixture
async def page(context: BrowserContext, site: str) -> Page:
    page = await context.new_page()
    await page.goto(site)
    return page


async def arrival(collector: Collector, met: Callable[[Collector], object], timeout_s: float = 10.0) -> None:
    await asyncio.to_thread(collector.wait_until, met, timeout_s)


def is_beacon(request: Request) -> bool:
    """sendBeacon is the only one of our requests that the browser marks so."""
    return request.headers["sec-fetch-mode"] == "no-cors"


async def test_errors_and_calls_arrive_field_by_field(page: Page, collector: Collector, site: str) -> None:
    await page.evaluate(
        """() => {
          setTimeout(() => { null.price }, 0);
          Promise.reject(new RangeError("out of stock"));
          Promise.reject({ code: 7 });
          signalbox.trackError(new TypeError("caught"), { level: "warning", order: 42, tags: { cart: "full" } });
          signalbox.trackMetric("checkout", 12.5, { unit: "ms", step: "pay" });
          signalbox.trackEvent("purchase", { total: 9.9, items: ["a"] });
        }"""
    )
    await page.wait_for_function("() => new Promise((done) => setTimeout(done, 0, true))")
    await page.evaluate("signalbox.flush()")
    await arrival(collector, lambda c: len(c.of_type("error")) == 4 and c.of_type("event"))

    errors = {event["exception_type"] + ":" + event["message"]: event for event in collector.of_type("error")}
    thrown = errors["TypeError:Cannot read properties of null (reading 'price')"]
    assert not thrown["handled"]
    assert "at " in thrown["stack"]
    assert not errors["RangeError:out of stock"]["handled"]
    assert not errors['UnhandledRejection:{"code":7}']["handled"]
    caught = errors["TypeError:caught"]
    assert (caught["handled"], caught["level"]) == (True, "warning")
    assert caught["tags"] == {"order": "42", "cart": "full"}

    [metric] = [event for event in collector.of_type("metric") if event["name"] == "checkout"]
    assert (metric["value"], metric["unit"], metric["tags"]) == (12.5, "ms", {"step": "pay"})
    [custom] = collector.of_type("event")
    assert (custom["name"], custom["properties"]) == ("purchase", {"total": 9.9, "items": ["a"]})
    [view] = collector.of_type("page_view")
    assert (view["title"], view["referrer"]) == ("Shop", "")

    for event in collector.events:
        assert re.fullmatch(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-8[0-9a-f]{3}-[0-9a-f]{12}", event["id"])
        assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", event["timestamp"])
        assert (event["release"], event["environment"], event["device"]) == ("1.2.3", "ci", "desktop")
        assert (event["url"], event["page"]) == (f"{site}/", "/")
    assert len({event["session_id"] for event in collector.events}) == 1
    assert len({event["id"] for event in collector.events}) == len(collector.events)
    for request in collector.requests:
        assert (request.path, request.query) == ("/error-tracking", {"key": "sbpk_test"})
        assert request.headers["content-type"].startswith("text/plain")
        assert "sent_at" in request.json()


async def test_all_five_vitals_arrive_when_the_page_is_left(page: Page, collector: Collector) -> None:
    async with asyncio.timeout(30):
        await page.click("#buy")
        # Half a second later, since shifts that follow an input are the visitor's own.
        await page.evaluate(
            """() => new Promise((done) => setTimeout(() => {
              space.style.height = "300px";
              new PerformanceObserver(() => done()).observe({ type: "layout-shift", buffered: true });
            }, 600))"""
        )
        # web-vitals looks at an interaction when the page is idle, and misses one that is left before that.
        await page.evaluate(
            """() => new Promise((done) => {
              const idle = () => requestIdleCallback(() => done());
              new PerformanceObserver(idle).observe({ type: "event", buffered: true, durationThreshold: 40 });
            })"""
        )
    await page.goto("about:blank")
    vitals = {"LCP", "INP", "CLS", "FCP", "TTFB"}
    await arrival(collector, lambda c: vitals <= {event["name"] for event in c.of_type("metric")})

    by_name = {event["name"]: event for event in collector.of_type("metric")}
    assert by_name["INP"]["value"] >= 100
    assert by_name["INP"]["attribution"]["element"] == "#buy"
    assert by_name["CLS"]["value"] > 0
    assert by_name["CLS"]["attribution"]["element"]
    assert by_name["LCP"]["attribution"] == {"element": "html>body>h1.hero"}
    for name, event in by_name.items():
        assert event["unit"] == ("" if name == "CLS" else "ms")
        assert event["rating"] in {"good", "needs-improvement", "poor"}
        assert event["metric_id"].startswith("v6-")
        assert event["navigation_type"] == "navigate"
    assert any(is_beacon(request) for request in collector.requests)


async def test_a_single_page_app_counts_each_page_once(page: Page, collector: Collector, site: str) -> None:
    await page.evaluate(
        """async () => {
          const turn = () => new Promise((done) => setTimeout(done, 20));
          signalbox.init({ key: "sbpk_test", page: (url) => url.pathname.replace(/\\d+/, ":id") });
          await turn();
          history.pushState({}, "", "/items/1#top"); await turn();
          history.replaceState({ scroll: 100 }, "", "/items/1"); await turn();
          history.pushState({}, "", "/redirect"); history.replaceState({}, "", "/items/2"); await turn();
          const back = new Promise((done) => addEventListener("popstate", done));
          history.back(); await back; await turn();
          await signalbox.flush();
        }"""
    )
    await arrival(collector, lambda c: len(c.of_type("page_view")) == 4)
    views = [(view["url"], view["page"], view["referrer"]) for view in collector.of_type("page_view")]
    assert views == [
        (f"{site}/", "/", ""),
        (f"{site}/items/1", "/items/:id", f"{site}/"),
        (f"{site}/items/2", "/items/:id", f"{site}/items/1"),
        (f"{site}/items/1", "/items/:id", f"{site}/items/2"),
    ]


async def test_twenty_events_leave_at_once_and_one_within_five_seconds(
    page: Page, collector: Collector
) -> None:
    await page.evaluate("signalbox.flush()")
    before = len(collector.requests)
    await page.evaluate("for (let n = 0; n < 20; n++) signalbox.trackEvent('click', { n })")
    await arrival(collector, lambda c: len(c.of_type("event")) == 20, timeout_s=3.0)
    assert len(collector.requests[before].json()["events"]) == 20

    await page.evaluate("signalbox.trackEvent('single')")
    await arrival(collector, lambda c: any(event["name"] == "single" for event in c.of_type("event")), 7.0)


async def test_a_refused_batch_is_sent_by_the_next_page_and_not_before_retry_after(
    page: Page, collector: Collector, site: str
) -> None:
    await page.evaluate("signalbox.flush()")
    collector.answers.append(Answer(503, {"Retry-After": "2"}))
    await page.evaluate("signalbox.trackEvent('first'), signalbox.flush()")
    [refused] = collector.of_type("event")
    refused_at = collector.requests[-1].at
    await page.evaluate("signalbox.trackEvent('second')")
    await page.goto(f"{site}/items/1")
    await arrival(collector, lambda c: len(c.of_type("event")) == 3)

    first, second = collector.of_type("event")[1:]
    assert first == refused
    assert second["name"] == "second", "the server had asked for silence, so the beacon was not sent"
    assert not any(is_beacon(request) for request in collector.requests)
    assert collector.requests[-1].at - refused_at >= 2.0
    await page.wait_for_function("() => !Object.keys(localStorage).some((k) => k.startsWith('signalbox.'))")


async def test_an_unreachable_server_costs_no_event(page: Page, collector: Collector) -> None:
    await page.evaluate("signalbox.flush()")
    await page.context.set_offline(True)
    await page.evaluate("signalbox.trackEvent('offline'), signalbox.flush()")
    await page.context.set_offline(False)
    await arrival(collector, lambda c: c.of_type("event"))


@pytest.mark.parametrize(
    ("agent", "device"),
    [
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Mobile/15E148 Safari/604.1",
            "mobile",
        ),
        ("Mozilla/5.0 (Linux; Android 15; Pixel 9) Chrome/140.0 Mobile Safari/537.36", "mobile"),
        ("Mozilla/5.0 (Linux; Android 15; SM-X910) Chrome/140.0 Safari/537.36", "tablet"),
        ("Mozilla/5.0 (X11; Linux x86_64) Chrome/140.0 Safari/537.36", "desktop"),
    ],
)
async def test_the_device_is_guessed(
    browser: Browser, collector: Collector, site: str, agent: str, device: str
) -> None:
    context = await browser.new_context(user_agent=agent)
    page = await context.new_page()
    await page.goto(site)
    await page.evaluate("signalbox.flush()")
    await arrival(collector, lambda c: c.of_type("page_view"))
    assert {event["device"] for event in collector.events} == {device}
    await context.close()


async def test_a_refusal_for_good_is_not_repeated(page: Page, collector: Collector) -> None:
    await page.evaluate("signalbox.flush()")
    collector.answers.append(Answer(401))
    await page.evaluate("signalbox.trackEvent('unknown key'), signalbox.flush()")
    assert len(collector.of_type("event")) == 1
    assert (
        await page.evaluate("Object.keys(localStorage).filter((k) => k.startsWith('signalbox.')).length") == 0
    )


async def test_the_backlog_is_bounded(page: Page, collector: Collector) -> None:
    await page.evaluate("signalbox.flush()")
    collector.answers.append(Answer(429, {"Retry-After": "600"}))
    await page.evaluate("signalbox.trackEvent('first'), signalbox.flush()")
    lines = await page.evaluate(
        """() => {
          for (let n = 0; n < 280; n++) signalbox.trackEvent("n", { n, text: "x".repeat(2000) });
          dispatchEvent(new Event("pagehide"));
          return localStorage.getItem("signalbox.backlog.sbpk_test").split("\\n").slice(1);
        }"""
    )
    assert sum(len(line) for line in lines) < 250_000
    assert json.loads(lines[-1])["properties"]["n"] == 279, "the newest are kept"


async def test_a_clock_that_was_set_back_silences_nobody(page: Page, collector: Collector) -> None:
    await page.evaluate("signalbox.flush()")
    await page.evaluate(
        """() => {
          localStorage.setItem("signalbox.backlog.sbpk_test", `3 ${Date.now() + 30 * 86_400_000}`);
          signalbox.trackEvent("now");
          return signalbox.flush();
        }"""
    )
    assert len(collector.of_type("event")) == 1


async def test_it_works_where_storage_is_blocked(
    context: BrowserContext, collector: Collector, site: str
) -> None:
    await context.add_init_script(
        """for (const name of ["localStorage", "sessionStorage"])
             Object.defineProperty(window, name, { get() { throw new DOMException("blocked", "SecurityError") } });"""
    )
    page = await context.new_page()
    thrown: list[Any] = []
    page.on("pageerror", lambda error: thrown.append(error))
    await page.goto(site)
    await page.evaluate("signalbox.flush()")
    collector.answers.append(Answer(500))
    await page.evaluate("signalbox.trackEvent('in memory'), signalbox.flush()")
    await arrival(collector, lambda c: len(c.of_type("event")) == 2)
    assert len({event["id"] for event in collector.of_type("event")}) == 1
    assert not thrown


async def test_no_call_throws_or_takes_a_millisecond(page: Page, collector: Collector) -> None:
    thrown: list[Any] = []
    page.on("pageerror", lambda error: thrown.append(error))
    mean_ms = await page.evaluate(
        """async () => {
          const circular = {}; circular.self = circular;
          const hostile = { get message() { throw new Error("no") } };
          const { trackError, trackMetric, trackPageView, trackEvent, init, flush } = signalbox;
          for (const odd of [undefined, null, 0, "", "text", circular, hostile, Symbol("s"), 1n, () => 1]) {
            trackError(odd, odd); trackMetric(odd, odd, odd); trackPageView(odd); trackEvent(odd, odd);
          }
          init(); init(null); init({ key: "sbpk_test", page() { throw new Error("no") } });
          await flush();
          const start = performance.now();
          for (let n = 0; n < 100; n++) trackError(new Error("n"), { n });
          return (performance.now() - start) / 100;
        }"""
    )
    assert mean_ms < 1.0
    assert not thrown
