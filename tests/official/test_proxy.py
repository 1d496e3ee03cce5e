"""The proxy adds one line to each request and touches nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress

import pytest

from conformance.proxy import BearerProxy

Behave = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]
ADDED = b"Authorization: Bearer the-grant\r\n"
SECONDS = 10.0


@asynccontextmanager
async def between(behave: Behave) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """Yield a client's connection through the proxy to a server that behaves so."""
    running: set[asyncio.Task[None]] = set()

    async def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        running.add(task)
        try:
            await behave(reader, writer)
        finally:
            writer.close()

    async with await asyncio.start_server(accept, "127.0.0.1", 0) as server:
        async with BearerProxy(server.sockets[0].getsockname()[1], "the-grant") as proxy:
            reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
            try:
                async with asyncio.timeout(SECONDS):
                    yield reader, writer
            finally:
                writer.close()
        await asyncio.gather(*running, return_exceptions=True)


def keeping(into: list[bytes]) -> Behave:
    """A server that keeps what it gets until the client is done, then answers and closes."""

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        into.append(await reader.read())
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok")

    return behave


PLAIN = b"GET /mcp/fixture/ HTTP/1.1\r\nHost: evil.example.com\r\nOrigin: http://evil.example.com\r\n\r\n"
SIZED = b"POST /x HTTP/1.1\r\nhost: a\r\ncontent-length:  5 \r\nX-Odd:\t\xe9  \r\n\r\n{\r\n\r\n"
CHUNKED = (
    b"POST /y HTTP/1.1\r\nTransfer-Encoding: Chunked\r\n\r\n"
    b"4;why=not\r\nab\r\n\r\nA\r\n0123456789\r\n0\r\nTrailer: t\r\n\r\n"
)


@pytest.mark.parametrize("requests", [[PLAIN], [SIZED], [CHUNKED], [SIZED, CHUNKED, PLAIN, SIZED]])
@pytest.mark.parametrize("piece", [1 << 16, 7])
async def test_each_request_gets_its_line_and_keeps_its_bytes(requests: list[bytes], piece: int) -> None:
    seen: list[bytes] = []
    async with between(keeping(seen)) as (reader, writer):
        sent = b"".join(requests)
        for start in range(0, len(sent), piece):
            writer.write(sent[start : start + piece])
            await writer.drain()
        writer.write_eof()
        assert await reader.read() == b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
    (got,) = seen
    assert got == b"".join(one.replace(b"\r\n", b"\r\n" + ADDED, 1) for one in requests)


async def test_a_stream_arrives_as_it_is_written() -> None:
    """The second event is written only once the first has arrived."""
    arrived = asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"data: 1\r\n\r\n")
        await writer.drain()
        await arrived.wait()
        writer.write(b"data: 2\n\n")

    async with between(behave) as (reader, writer):
        writer.write(PLAIN)
        assert await reader.readexactly(11) == b"data: 1\r\n\r\n"
        arrived.set()
        assert await reader.read() == b"data: 2\n\n"


async def test_a_client_that_goes_away_is_gone_for_the_server_too() -> None:
    begun, gone = asyncio.Event(), asyncio.Event()

    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"data: 1\n\n")
        begun.set()
        assert await reader.read() == b""
        gone.set()

    async with between(behave) as (reader, writer):
        writer.write(PLAIN)
        assert await reader.readexactly(9) == b"data: 1\n\n"
        assert begun.is_set()
        assert not gone.is_set()
        writer.close()
        await gone.wait()


async def test_a_connection_that_breaks_breaks_on_the_other_side() -> None:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.transport.abort()

    async with between(behave) as (reader, writer):
        writer.write(PLAIN)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""


async def test_where_nobody_listens_the_connection_ends() -> None:
    async with await asyncio.start_server(lambda _reader, _writer: None, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
    async with BearerProxy(port, "the-grant") as proxy, asyncio.timeout(SECONDS):
        reader, writer = await asyncio.open_connection("127.0.0.1", proxy.port)
        with suppress(ConnectionResetError):
            assert await reader.read() == b""
        writer.close()
