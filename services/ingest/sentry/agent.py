"""The class of device that a browser's User-Agent tells, by the rules of `monitoring.js`."""

import re

from shared.contracts.events import Device

_TABLET = re.compile(r"iPad|Tablet|Silk|Android(?!.*Mobile)")
_MOBILE = re.compile(r"Mobi|iPhone|iPod|Android")


def device_of(user_agent: str) -> Device:
    """`unknown` for what is no browser, such as an SDK on a server."""
    if not user_agent.startswith("Mozilla/"):
        return "unknown"
    start = user_agent[:512]
    if _TABLET.search(start):
        return "tablet"
    return "mobile" if _MOBILE.search(start) else "desktop"
