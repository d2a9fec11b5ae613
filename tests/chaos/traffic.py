"""`python -m tests.chaos.traffic`: producers, as a process of their own, until SIGTERM.

Requests arrive at a set rate, whatever becomes of those before them. A native client sends the same ids again when
there was no answer, or one that asks for it; a Sentry SDK sends once. It loads this machine only, holds no more than
PENDING_MAX requests, and ends by itself after `--seconds-max`.
"""

import argparse
import asyncio
import ipaddress
import os
import random
import signal
import sys
import time
from pathlib import Path
from urllib.parse import urlsplit

from tests.chaos.bodies import Bodies, Body
from tests.chaos.client import Client, Lost
from tests.chaos.history import Attempt, Request, Writer

#: Requests that are not over yet, those that wait for their next attempt included.
PENDING_MAX = 8_192
CONNECTIONS_MAX = 512
#: Longer than any answer may take; running into it is a finding.
TIMEOUT_S = 15.0
_BACKOFF_MIN_S, _BACKOFF_MAX_S = 0.2, 2.0
#: How long a native client tries, and so how long the process may take to end.
_RETRY_FOR_S = 90.0
_RETRIED = frozenset({429, 503})


class Producers:
    """Sends the requests of one case."""

    def __init__(
        self, client: Client, bodies: Bodies, writer: Writer, *, public_key: str, secret_key: str
    ) -> None:
        self._client = client
        self._bodies = bodies
        self._writer = writer
        self._sentry_headers = (
            "Content-Type: application/x-sentry-envelope\r\nUser-Agent: sentry.python/2.75.0\r\n"
            f"X-Sentry-Auth: Sentry sentry_version=7, sentry_client=sentry.python/2.75.0, sentry_key={public_key}\r\n"
        )
        self._native_headers = f"Content-Type: application/json\r\nAuthorization: Bearer {secret_key}\r\n"
        self._pending: set[asyncio.Task[None]] = set()
        #: Requests that were due and not sent, since too many were pending.
        self.skipped = 0

    async def run(self, *, rate: float, stop: asyncio.Event, seconds_max: float) -> None:
        """Send until told to stop; returns when every request is over."""
        began = time.monotonic()
        due = 0
        while not stop.is_set() and time.monotonic() < began + seconds_max:
            while due < (time.monotonic() - began) * rate:
                due += 1
                self._start()
            await asyncio.sleep(0.002)
        while self._pending:
            await asyncio.wait(self._pending)

    def _start(self) -> None:
        if len(self._pending) >= PENDING_MAX:
            self.skipped += 1
            return
        task = asyncio.create_task(self._see_through(self._bodies.next()))
        self._pending.add(task)
        task.add_done_callback(self._pending.discard)

    async def _see_through(self, body: Body) -> None:
        attempts = [await self._attempt(body)]
        give_up_at = attempts[0].began + _RETRY_FOR_S
        pause_s = _BACKOFF_MIN_S
        while (
            body.protocol == "native"
            and (attempts[-1].error or attempts[-1].status in _RETRIED)
            and time.monotonic() < give_up_at
        ):
            await asyncio.sleep(pause_s * random.uniform(0.5, 1.0))
            pause_s = min(2 * pause_s, _BACKOFF_MAX_S)
            attempts.append(await self._attempt(body))
        self._writer.add(Request(body.protocol, body.items, attempts))

    async def _attempt(self, body: Body) -> Attempt:
        began = time.monotonic()
        status, error = 0, ""
        try:
            if body.protocol == "native":
                status = await self._client.post("/v1/events", self._native_headers, body.data)
            else:
                status = await self._client.post("/api/1/envelope/", self._sentry_headers, body.data)
        except Lost as lost:
            error = str(lost)
        return Attempt(began, time.monotonic(), status, error)


def main() -> int:
    """Exit status: 0, or 2 for bad usage."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos.traffic", description=__doc__.split("\n")[0])
    parser.add_argument("--url", required=True, help="ingest's address, on this machine")
    parser.add_argument("--label", required=True, help="what every event of it is called")
    parser.add_argument("--rate", type=float, required=True, help="requests a second")
    parser.add_argument("--history", type=Path, required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--seconds-max", type=float, required=True)
    options = parser.parse_args()
    url = urlsplit(options.url)
    host, port = url.hostname or "", url.port or 80
    if not _is_loopback(host):
        parser.error(f"{host} is not this machine")
    if not 0 < options.rate <= 5_000:
        parser.error("a rate is more than 0 and at most 5000")
    asyncio.run(_serve(options, host, port))
    return 0


async def _serve(options: argparse.Namespace, host: str, port: int) -> None:
    public_key = os.environ["SIGNALBOX_PUBLIC_KEY"]
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    client = Client(host, port, connections_max=CONNECTIONS_MAX, timeout_s=TIMEOUT_S)
    writer = Writer(options.history)
    producers = Producers(
        client,
        Bodies(options.label, public_key, options.seed),
        writer,
        public_key=public_key,
        secret_key=os.environ["SIGNALBOX_SECRET_KEY"],
    )
    try:
        await producers.run(rate=options.rate, stop=stop, seconds_max=options.seconds_max)
    finally:
        client.close()
        writer.close()
    print(producers.skipped, flush=True)


def _is_loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


if __name__ == "__main__":
    sys.exit(main())
