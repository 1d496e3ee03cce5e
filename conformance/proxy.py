"""Adds a bearer token to each request, which the suite cannot, and passes all else byte for byte."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from types import TracebackType
from typing import Final, Self

LIMIT: Final = 1 << 20
CHUNK: Final = 1 << 16


class BearerProxy:
    """Listens on a free port of the loopback while entered; each connection gets one of its own to `port`.

    Host, Origin and everything else arrive as they were sent. What one side closes, or breaks, is closed or
    broken on the other.
    """

    def __init__(self, port: int, token: str) -> None:
        self._to = port
        self._line = f"Authorization: Bearer {token}\r\n".encode()
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.Task[None]] = set()

    @property
    def port(self) -> int:
        """Where it listens."""
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1])

    async def __aenter__(self) -> Self:
        self._server = await asyncio.start_server(self._accept, "127.0.0.1", 0, limit=LIMIT)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        for task in tuple(self._open):
            task.cancel()
        await asyncio.gather(*self._open, return_exceptions=True)

    async def _accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._open.add(task)
        try:
            await self._relay(reader, writer)
        except asyncio.CancelledError:
            # The end of the proxy; asyncio's own streams would report it as an error of this connection.
            writer.transport.abort()
        finally:
            self._open.discard(task)

    async def _relay(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            far_reader, far_writer = await asyncio.open_connection("127.0.0.1", self._to, limit=LIMIT)
        except OSError:
            writer.transport.abort()
            return
        ways = (
            asyncio.create_task(self._requests(reader, far_writer)),
            asyncio.create_task(_answers(far_reader, writer)),
        )
        try:
            # A way that ends well has said so to the other side; one that breaks takes the other with it.
            await asyncio.gather(*ways)
        except (OSError, ValueError, asyncio.LimitOverrunError, asyncio.IncompleteReadError):
            far_writer.transport.abort()
            writer.transport.abort()
        finally:
            for way in ways:
                way.cancel()
            far_writer.close()
            writer.close()

    async def _requests(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Pass requests on, each with one line more behind its first."""
        while True:
            try:
                head = await reader.readuntil(b"\r\n\r\n")
            except asyncio.IncompleteReadError as ended:
                writer.write(ended.partial)
                break
            first, rest = head.split(b"\r\n", 1)
            writer.write(first + b"\r\n" + self._line + rest)
            await _body(_fields(rest), reader, writer)
            await writer.drain()
        with suppress(OSError):
            writer.write_eof()


async def _answers(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while read := await reader.read(CHUNK):
        writer.write(read)
        await writer.drain()
    with suppress(OSError):
        writer.write_eof()


def _fields(lines: bytes) -> dict[bytes, bytes]:
    """Read header lines as far as the framing of a body needs them."""
    found = (one.partition(b":") for one in lines.split(b"\r\n") if one)
    return {name.strip().lower(): value.strip() for name, _, value in found}


async def _body(
    fields: dict[bytes, bytes], reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Pass a request's body on as it comes; where it ends is all that is read of it."""
    if fields.get(b"transfer-encoding", b"").lower() == b"chunked":
        size = -1
        while size:
            head = await reader.readuntil(b"\r\n")
            writer.write(head)
            size = int(head.split(b";", 1)[0], 16)
            if size:
                await _pass(size + 2, reader, writer)
        while (trailer := await reader.readuntil(b"\r\n")) != b"\r\n":
            writer.write(trailer)
        writer.write(b"\r\n")
    else:
        await _pass(int(fields.get(b"content-length", b"0")), reader, writer)


async def _pass(size: int, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while size:
        read = await reader.read(min(size, CHUNK))
        if not read:
            raise asyncio.IncompleteReadError(b"", size)
        writer.write(read)
        await writer.drain()
        size -= len(read)
