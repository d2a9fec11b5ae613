"""Sends one request and says what became of it."""

import asyncio
import errno
import resource
import ssl
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import perf_counter
from types import TracebackType
from typing import NamedTuple, Self

import httpx

from services.loadgen.stats import Sample
from shared.errors import ConfigurationError, Retryable

#: The kind of failure that is the generator's own.
WITHOUT_SOCKET = "generator without a socket"
_NO_SOCKET = {errno.EMFILE, errno.ENFILE, errno.EADDRNOTAVAIL, errno.ENOBUFS}
_CONNECTIONS_MAX = 6  # a browser's to one host
_KEEPALIVE_S = 4.0  # uvicorn closes idle connections after 5 s; whoever closes first has no race to lose
_REACH_TIMEOUT_S = 3.0
_FILES_SPARE = 128  # for the interpreter, the terminal and Kafka


class TargetUnreachable(Retryable):
    """Nobody answers at an address."""


class Answer(NamedTuple):
    """A response, read to its end."""

    status: int
    body: bytes


#: Says why an answer with the right status is wrong all the same; empty when it is right.
Check = Callable[[Answer], str]


@dataclass(frozen=True, slots=True)
class Request:
    """A request that is to be sent."""

    #: What it is counted under, such as `POST /v1/events`.
    endpoint: str
    method: str
    url: str
    #: How long the visitor waits before it, after the previous answer.
    think_s: float
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""
    #: The statuses that are not a failure.
    accept: frozenset[int] = frozenset({200})
    check: Check | None = None


class Client:
    """One visitor's connections, kept alive as a browser's.

    Each visitor has their own: a pool shared by all is searched for every request, which made a run of 64 users ten
    times dearer (httpx 0.28; httpx #3215).
    """

    def __init__(self, tls: ssl.SSLContext, *, timeout_s: float) -> None:
        self._timeout_s = timeout_s
        self._http = httpx.AsyncClient(
            verify=tls,
            timeout=httpx.Timeout(timeout_s),
            limits=httpx.Limits(
                max_connections=_CONNECTIONS_MAX,
                max_keepalive_connections=_CONNECTIONS_MAX,
                keepalive_expiry=_KEEPALIVE_S,
            ),
            follow_redirects=False,  # the target was checked; where it points was not
            trust_env=False,  # a proxy would be measured instead
        )

    async def __aenter__(self) -> Self:
        await self._http.__aenter__()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._http.__aexit__(kind, error, trace)

    async def send(self, request: Request, intended_s: float) -> tuple[Sample, Answer | None]:
        """Send it now, and measure it from `intended_s`; no answer when there was none. Never raises for a failure."""
        sent_s = perf_counter()
        answer: Answer | None = None
        try:
            async with asyncio.timeout(self._timeout_s):
                response = await self._http.request(
                    request.method, request.url, content=request.body or None, headers=request.headers
                )
            answer = Answer(response.status_code, response.content)
            failure = _wrong(request, answer)
        except (TimeoutError, httpx.TimeoutException):
            failure = "timeout"
        except httpx.TransportError as error:
            failure = _transport_failure(error)
        finished_s = perf_counter()
        sample = Sample(
            request.endpoint, finished_s - intended_s, sent_s - intended_s, failure, answer is not None
        )
        return sample, answer


async def reach(url: str) -> None:
    """Return when somebody answers HTTP at `url`, whatever they say. Raises TargetUnreachable."""
    try:
        async with httpx.AsyncClient(trust_env=False, timeout=_REACH_TIMEOUT_S) as http:
            await http.get(f"{url}/livez")
    except httpx.TimeoutException as error:
        raise TargetUnreachable(f"{url} did not answer within {_REACH_TIMEOUT_S:g} s") from error
    except httpx.TransportError as error:
        raise TargetUnreachable(f"{url} cannot be reached: {_transport_failure(error)}") from error


def allow_sockets(needed: int) -> None:
    """Raise this process's limit of open files as far as it goes.

    Raises ConfigurationError when that is fewer than `needed` sockets.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    if hard != resource.RLIM_INFINITY and hard < needed + _FILES_SPARE:
        raise ConfigurationError(
            f"this run needs {needed} sockets and may open {hard} files: fewer --users, or a higher `ulimit -Hn`"
        )


def _wrong(request: Request, answer: Answer) -> str:
    if answer.status not in request.accept:
        return f"status {answer.status}"
    return request.check(answer) if request.check is not None else ""


def _transport_failure(error: httpx.TransportError) -> str:
    numbers = set(_errnos(error))
    if numbers & _NO_SOCKET:
        return WITHOUT_SOCKET
    if errno.ECONNREFUSED in numbers:
        return "connection refused"
    if isinstance(error, httpx.ConnectError):
        return "cannot connect"
    if isinstance(error, httpx.RemoteProtocolError | httpx.NetworkError):
        return "connection lost"
    return "protocol error"


def _errnos(error: BaseException | None) -> Iterator[int]:
    """The system's error numbers in an exception and in whatever caused it: httpx keeps only a text."""
    if isinstance(error, BaseExceptionGroup):
        for part in error.exceptions:
            yield from _errnos(part)
    while error is not None:
        if isinstance(error, OSError) and error.errno is not None:
            yield error.errno
        error = error.__cause__ or error.__context__
        if isinstance(error, BaseExceptionGroup):
            yield from _errnos(error)
