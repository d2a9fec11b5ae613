"""One request to ingest, and the rule for the next one."""

import random
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

import httpx

from signalbox_client.errors import Refused

BACKOFF_S = 0.5
BACKOFF_MAX_S = 30.0
#: No answer of a server keeps the client silent for longer.
RETRY_AFTER_MAX_S = 300.0
#: Timeouts, limits, and a server or a proxy in front of it that is away. 500 is among them, since a
#: restart under way may look like that.
RETRYABLE = frozenset({408, 425, 429, 500, 502, 503, 504})


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
    """Posts JSON to ingest over kept-alive connections; may be used by several threads at once."""

    def __init__(self, url: str, key: str, timeout_s: float) -> None:
        self._client = httpx.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {key}", "Content-Type": "application/json"},
            timeout=timeout_s,
        )

    def post(self, path: str, body: bytes, headers: dict[str, str] | None = None) -> Accepted | TryAgain:
        """Send once.

        Raises Refused for every answer that asking again cannot change.
        """
        try:
            response = self._client.post(path, content=body, headers=headers)
        except httpx.RequestError as error:
            return TryAgain(f"{type(error).__name__}: {error}")
        if response.status_code in RETRYABLE:
            after_s = _retry_after_s(response.headers.get("Retry-After", ""))
            return TryAgain(f"status {response.status_code}", after_s, response.status_code)
        answer = _json_object(response)
        if not response.is_success:
            detail = answer.get("detail") or answer.get("title") or response.reason_phrase
            raise Refused(response.status_code, str(detail))
        return Accepted(answer)

    def close(self) -> None:
        self._client.close()


def backoff_s(attempt: int, retry_after_s: float) -> float:
    """How long to wait after the `attempt`th failure in a row (1 for the first), at least `retry_after_s`.

    Half of the exponential part is chance, so that clients that failed together do not come back together.
    """
    full = min(BACKOFF_S * 2.0 ** min(attempt, 32), BACKOFF_MAX_S)
    return max(retry_after_s, full / 2) + random.uniform(0, full / 2)  # noqa: S311


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


def _json_object(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}
