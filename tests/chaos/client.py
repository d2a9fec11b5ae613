"""An HTTP/1.1 client for one server on this machine, which tells an answer from a lost connection, and costs little.

The generator shares its two cores with what it measures: 500 requests/s through a client library take half of one.
"""

import asyncio
from asyncio import StreamReader, StreamWriter


class Lost(Exception):
    """No answer: `refused` when nobody took the connection, `reset` when it ended first, `timeout`."""


class Client:
    """POSTs to one server over connections that are kept; at most `connections_max` of them."""

    def __init__(self, host: str, port: int, *, connections_max: int, timeout_s: float) -> None:
        self._host, self._port = host, port
        self._timeout_s = timeout_s
        self._room = asyncio.Semaphore(connections_max)
        self._idle: list[tuple[StreamReader, StreamWriter]] = []

    async def post(self, path: str, headers: str, body: bytes) -> int:
        """The status of the answer, read to its end. Raises Lost."""
        async with self._room:
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await self._post(path, headers, body)
            except TimeoutError as error:
                raise Lost("timeout") from error

    def close(self) -> None:
        for _, writer in self._idle:
            writer.close()
        self._idle.clear()

    async def _post(self, path: str, headers: str, body: bytes) -> int:
        reader, writer = await self._connection()
        answered = False
        head = f"POST {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\nContent-Length: {len(body)}\r\n{headers}\r\n"
        try:
            writer.write(head.encode("latin-1") + body)
            await writer.drain()
            status, keep = await _read(reader)
            answered = keep
        except (OSError, EOFError) as error:
            raise Lost("reset") from error
        finally:
            if answered:
                self._idle.append((reader, writer))
            else:
                writer.close()
        return status

    async def _connection(self) -> tuple[StreamReader, StreamWriter]:
        while self._idle:
            reader, writer = self._idle.pop()
            if not reader.at_eof() and not writer.is_closing():  # the server may have ended meanwhile
                return reader, writer
            writer.close()
        try:
            return await asyncio.open_connection(self._host, self._port)
        except OSError as error:
            raise Lost("refused") from error


async def _read(reader: StreamReader) -> tuple[int, bool]:
    """The status, and whether the connection may be used again. Raises EOFError when it ends first."""
    head = await reader.readuntil(b"\r\n\r\n")
    status = int(head[9:12])
    length, keep = 0, True
    for line in head.lower().split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name == b"content-length":
            length = int(value)
        elif name == b"connection" and value.strip() == b"close":
            keep = False
    await reader.readexactly(length)
    return status, keep
