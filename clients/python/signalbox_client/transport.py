"""One request to ingest, and the rule for the next one."""

import base64
import json
import random
import ssl
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from http.client import HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Any
from urllib.parse import SplitResult, unquote, urlsplit
from urllib.request import getproxies, proxy_bypass

from signalbox_client.errors import Refused

BACKOFF_S = 0.5
BACKOFF_MAX_S = 30.0
#: No answer of a server keeps the client silent for longer.
RETRY_AFTER_MAX_S = 300.0
#: Timeouts, limits, and a server or a proxy in front of it that is away. 500 is among them, since a
#: restart under way may look like that.
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})
#: Of an answer; ingest's are far smaller, whatever stands in front of it may say more.
ANSWER_BYTES_MAX = 1024 * 1024


@dataclass(frozen=True)
class Accepted:
    """A 2xx; `body` is its JSON object, empty when it had none."""

    body: dict[str, Any]


@dataclass(frozen=True)
class TryAgain:
    """Not now. `after_s` is what Retry-After asked for, 0 when it did not; `status` is None without an answer."""

    reason: str
    after_s: float = 0.0
    status: int | None = None


class Transport:
    """Posts JSON to ingest over kept-alive connections; may be used by several threads at once.

    `timeout_s` is for connecting, and for every wait for bytes. Proxies are those of the environment.
    """

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        self._url = urlsplit(url)
        self._timeout_s = timeout_s
        self._headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}
        self._proxy = _proxy_for(self._url)
        self._tls = ssl.create_default_context() if self._url.scheme == "https" else None
        #: Connections that nobody uses now; taking one out and putting it back are atomic.
        self._idle: list[HTTPConnection] = []

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Accepted | TryAgain:
        """Send once; twice when a connection that was kept turns out to be closed.

        Raises Refused for every answer that asking again cannot change.
        """
        try:
            response, content = self._exchange(path, body, {**self._headers, **(headers or {})})
        except (OSError, HTTPException) as error:
            return TryAgain(f"{type(error).__name__}: {error}")
        if response.status in RETRYABLE:
            after_s = _retry_after_s(response.headers.get("Retry-After", ""))
            return TryAgain(f"status {response.status}", after_s, response.status)
        answer = _json_object(content)
        if not 200 <= response.status < 300:
            detail = answer.get("detail") or answer.get("title") or response.reason
            raise Refused(response.status, str(detail))
        return Accepted(answer)

    def close(self) -> None:
        """Close what is idle; a connection in use is closed by whoever uses it."""
        while self._idle:
            self._idle.pop().close()

    def _exchange(self, path: str, body: bytes, headers: dict[str, str]) -> tuple[HTTPResponse, bytes]:
        kept = self._idle.pop() if self._idle else None
        if kept is not None:
            try:
                return self._send(kept, path, body, headers)
            except TimeoutError:
                raise
            except (OSError, HTTPException):
                pass  # the server has closed it meanwhile; ids make a second sending harmless
        return self._send(self._connect(), path, body, headers)

    def _send(
        self, connection: HTTPConnection, path: str, body: bytes, headers: dict[str, str]
    ) -> tuple[HTTPResponse, bytes]:
        target = self._url.path.rstrip("/") + path
        if self._proxy is not None and self._tls is None:
            target = f"http://{self._url.netloc.rpartition('@')[2]}{target}"
            headers = {**headers, **_proxy_authorization(self._proxy)}
        try:
            connection.request("POST", target, body, headers)
            response = connection.getresponse()
            content = response.read(ANSWER_BYTES_MAX)
        except BaseException:
            connection.close()
            raise
        if response.will_close or not response.isclosed():
            connection.close()
        else:
            self._idle.append(connection)
        return response, content

    def _connect(self) -> HTTPConnection:
        host, port = self._url.hostname or "", self._url.port
        at = (host, port) if self._proxy is None else (self._proxy.hostname or "", self._proxy.port)
        if self._tls is None:
            return HTTPConnection(*at, timeout=self._timeout_s)
        connection = HTTPSConnection(*at, timeout=self._timeout_s, context=self._tls)
        if self._proxy is not None:
            connection.set_tunnel(host, port, _proxy_authorization(self._proxy))
        return connection


def backoff_s(attempt: int, retry_after_s: float) -> float:
    """How long to wait after the `attempt`th failure in a row (1 for the first), at least `retry_after_s`.

    Half of the exponential part is chance, so that clients that failed together do not come back together.
    """
    full = min(BACKOFF_S * 2.0 ** min(attempt, 32), BACKOFF_MAX_S)
    return max(retry_after_s, full / 2) + random.uniform(0, full / 2)  # noqa: S311


def _proxy_for(url: SplitResult) -> SplitResult | None:
    """What HTTP_PROXY, HTTPS_PROXY and NO_PROXY say, or the system's settings."""
    proxy = getproxies().get(url.scheme)
    if not proxy or proxy_bypass(url.netloc.rpartition("@")[2]):
        return None
    return urlsplit(proxy if "://" in proxy else f"http://{proxy}")


def _proxy_authorization(proxy: SplitResult) -> dict[str, str]:
    if proxy.username is None:
        return {}
    secret = f"{unquote(proxy.username)}:{unquote(proxy.password or '')}"
    return {"Proxy-Authorization": f"Basic {base64.b64encode(secret.encode()).decode()}"}


def _retry_after_s(value: str) -> float:
    """Seconds or an HTTP date (RFC 9110, 10.2.3); 0 for anything else."""
    try:
        seconds = float(value)
    except ValueError:
        try:
            seconds = (parsedate_to_datetime(value).astimezone(UTC) - datetime.now(UTC)).total_seconds()
        except ValueError:
            return 0.0
    return min(max(seconds, 0.0), RETRY_AFTER_MAX_S)


def _json_object(content: bytes) -> dict[str, Any]:
    try:
        body = json.loads(content)
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
