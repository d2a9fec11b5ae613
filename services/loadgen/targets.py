"""Whom loadgen may load: this machine, and hosts that its owner has listed. It must not become a weapon."""

import ipaddress
from collections.abc import Collection

import httpx

from shared.errors import ConfigurationError


def base_url(address: str, allowed: Collection[str]) -> str:
    """The address without a slash at its end, if it may be loaded.

    The host is read by the same parser that later connects, so that both mean the same host. Redirects are
    never followed. Raises ConfigurationError for what is not an address, or is somebody else's.
    """
    try:
        url = httpx.URL(address)
    except httpx.InvalidURL as error:
        raise ConfigurationError(f"{address!r} is not a URL: {error}") from error
    if url.scheme not in ("http", "https") or not url.host:
        raise ConfigurationError(f"{address!r} is not an address such as http://127.0.0.1:8001")
    if url.userinfo or url.query or url.fragment:
        raise ConfigurationError(
            f"{url.host}: an address has no user, query or fragment; keys come by variables"
        )
    if not _is_loopback(url.host) and url.host.lower() not in allowed:
        raise ConfigurationError(
            f"{url.host} is neither this machine nor listed in SIGNALBOX_LOADGEN_TARGETS_ALLOWED"
        )
    return str(url).rstrip("/")


def _is_loopback(host: str) -> bool:
    if host.lower() == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
