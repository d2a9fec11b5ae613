"""Producers against a server that answers as it is told: who retries, and what is written down."""

import asyncio
from asyncio import StreamReader, StreamWriter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from tests.chaos import history
from tests.chaos.bodies import Bodies
from tests.chaos.client import Client, Lost
from tests.chaos.history import Request
from tests.chaos.traffic import Producers
from tests.support.stacks import free_ports
from tests.support.waiting import eventually

#: Ends the connection instead of an answer.
RESET = 0


class Server:
    """Gives the answers in turn, and the last one from then on."""

    def __init__(self, *answers: int) -> None:
        self.answers = list(answers)
        self.bodies: list[bytes] = []
        self.connections: list[StreamWriter] = []

    async def serve(self, reader: StreamReader, writer: StreamWriter) -> None:
        self.connections.append(writer)
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
                self.bodies.append(await reader.readexactly(length))
                status = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
                if status == RESET:
                    break
                writer.write(b"HTTP/1.1 %d -\r\ncontent-length: 2\r\n\r\n{}" % status)
        except asyncio.IncompleteReadError:
            pass  # the client has gone
        finally:
            writer.close()


@asynccontextmanager
async def client_of(server: Server) -> AsyncIterator[Client]:
    listener = await asyncio.start_server(server.serve, "127.0.0.1", 0)
    client = Client("127.0.0.1", listener.sockets[0].getsockname()[1], connections_max=4, timeout_s=2.0)
    try:
        yield client
    finally:
        client.close()
        listener.close()


async def sent(server: Server, path: Path, *, seed: int) -> list[Request]:
    """The history of a single request."""
    async with client_of(server) as client:
        writer = history.Writer(path / "history")
        bodies = Bodies("kills", "sbpk_key", seed)
        producers = Producers(client, bodies, writer, public_key="sbpk_key", secret_key="sbsk_key")
        stop = asyncio.Event()
        asyncio.get_running_loop().call_later(0.05, stop.set)
        await producers.run(rate=0.001, stop=stop, seconds_max=5)
        writer.close()
    return list(history.read(path / "history"))


#: Whose first request is of the protocol.
NATIVE, SENTRY = 2, 1


async def test_a_native_client_sends_the_same_bytes_until_they_are_acknowledged(tmp_path: Path) -> None:
    server = Server(RESET, 503, 202)
    (request,) = await sent(server, tmp_path, seed=NATIVE)
    assert [(attempt.status, attempt.error) for attempt in request.attempts] == [
        (0, "reset"),
        (503, ""),
        (202, ""),
    ]
    assert request.is_acknowledged
    assert len(set(server.bodies)) == 1


@pytest.mark.parametrize("answer", [RESET, 503, 400])
async def test_a_sentry_client_sends_once(tmp_path: Path, answer: int) -> None:
    (request,) = await sent(Server(answer, 200), tmp_path, seed=SENTRY)
    assert request.protocol == "sentry"
    assert [attempt.status for attempt in request.attempts] == [answer]
    assert not request.is_acknowledged


async def test_what_a_native_client_sent_wrong_is_not_sent_again(tmp_path: Path) -> None:
    (request,) = await sent(Server(422, 202), tmp_path, seed=NATIVE)
    assert [attempt.status for attempt in request.attempts] == [422]


async def test_connections_are_kept_and_one_that_ended_is_not_used() -> None:
    server = Server(202)
    async with client_of(server) as client:
        assert [await client.post("/", "", b"x") for _ in range(3)] == [202] * 3
        assert len(server.connections) == 1
        server.connections[0].close()
        await server.connections[0].wait_closed()
        (kept, _), *_ = client._idle

        async def seen() -> bool:
            return kept.at_eof()

        await eventually(seen)
        assert await client.post("/", "", b"x") == 202
        assert len(server.connections) == 2


async def test_a_closed_port_is_refused_and_silence_is_a_timeout() -> None:
    with pytest.raises(Lost, match="refused"):
        await Client("127.0.0.1", free_ports(1)[0], connections_max=1, timeout_s=2.0).post("/", "", b"")

    async def silent(reader: StreamReader, writer: StreamWriter) -> None:
        await reader.read()
        writer.close()

    async with await asyncio.start_server(silent, "127.0.0.1", 0) as listener:
        client = Client("127.0.0.1", listener.sockets[0].getsockname()[1], connections_max=1, timeout_s=0.05)
        with pytest.raises(Lost, match="timeout"):
            await client.post("/", "", b"x")
