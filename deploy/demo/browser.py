"""Real web vitals and real errors: headless Chromium loads the demo's app and clicks its buttons."""

import shutil
import tempfile

from playwright.async_api import Page, async_playwright

#: No connection to anybody but the page: this machine may have no network.
_FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
_TIMEOUT_MS = 15_000


def chromium() -> str | None:
    """The browser's path, or None where it is not installed."""
    return shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")


async def visit(executable: str, url: str, *, visits: int) -> None:
    """Visit the app some times, each with an error, a rejection, an event and a navigation."""
    async with async_playwright() as playwright:
        with tempfile.TemporaryDirectory(prefix="signalbox-chromium-") as profile:
            context = await playwright.chromium.launch_persistent_context(
                profile, executable_path=executable, headless=True, args=_FLAGS, timeout=_TIMEOUT_MS * 2
            )
            for _ in range(visits):
                page = await context.new_page()
                await _one_visit(page, url)
                # Leaving the page is what sends LCP, CLS and INP, by beacon.
                await page.close(run_before_unload=False)
            await context.close()


async def _one_visit(page: Page, url: str) -> None:
    page.set_default_timeout(_TIMEOUT_MS)
    await page.goto(url, wait_until="load")
    for button in ("#buy", "#break", "#reject", "#go"):
        await page.click(button)
    # A flush of what there is; what only the end of the visit knows goes out when the page is hidden.
    async with page.expect_response(lambda response: "/error-tracking" in response.url):
        await page.evaluate("signalbox.flush()")
    await page.evaluate("window.dispatchEvent(new Event('pagehide'))")
    await page.goto("about:blank")
