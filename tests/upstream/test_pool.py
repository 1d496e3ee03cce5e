"""Connections: reused last in first out, bounded, and never one that the server may have closed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from coatcheck.errors import UpstreamBadReply, UpstreamLost, UpstreamUnreachable
from coatcheck.upstream.http.hop.connection import Connection, StaleConnection
from coatcheck.upstream.http.hop.pool import Pool, PoolLimits
from coatcheck.upstream.http.hop.reading import Received, ReplyLimits
from coatcheck.upstream.pace import Pace
from upstream.raw_servers import RawServer, Request, chunk, plain

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"


def pool_of(server: RawServer, limits: PoolLimits | None = None) -> Pool:
    loop = asyncio.get_running_loop()

    async def dial() -> Connection:
        def make() -> Connection:
            return Connection("weather", pool, ReplyLimits(), Pace())

        return (await loop.create_connection(make, "127.0.0.1", server.port))[1]

    pool = Pool("weather", limits or PoolLimits(), dial)
    return pool


async def get(pool: Pool) -> Received:
    return await (await pool.acquire()).send(GET)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


async def ok(request: Request, out: asyncio.StreamWriter) -> None:
    out.write(plain(b"{}"))


async def test_one_connection_serves_one_call_after_another() -> None:
    async with RawServer(ok) as server:
        pool = pool_of(server)
        for _ in range(5):
            assert (await get(pool)).body == b"{}"
        assert server.connections == 1
        assert len(pool) == 1
        pool.close()
        await until(lambda: server.closed == 1)
        assert len(pool) == 0


async def test_calls_at_once_get_a_connection_each_and_the_last_freed_is_used_first() -> None:
    async with RawServer(ok) as server:
        pool = pool_of(server)
        first, second, third = [await pool.acquire() for _ in range(3)]
        for connection in (first, third, second):
            await connection.send(GET)
        assert pool.take() is second
        assert pool.take() is third
        assert pool.take() is first
        assert pool.take() is None
        pool.close()


async def test_no_more_connections_than_the_limit_and_no_more_waiting_than_theirs() -> None:
    gate = asyncio.Event()

    async def slow(request: Request, out: asyncio.StreamWriter) -> None:
        await gate.wait()
        out.write(plain(b"{}"))

    async with RawServer(slow) as server:
        pool = pool_of(server, PoolLimits(size=2, waiting=3))
        calls = [asyncio.create_task(get(pool)) for _ in range(5)]
        await until(lambda: len(server.requests) == 2)
        with pytest.raises(UpstreamUnreachable, match="all 2 connections to weather are in use"):
            await get(pool)
        gate.set()
        assert [received.body for received in await asyncio.gather(*calls)] == [b"{}"] * 5
        assert server.connections == 2
        pool.close()


async def test_who_gives_up_waiting_takes_no_connection_along() -> None:
    async with RawServer(ok) as server:
        pool = pool_of(server, PoolLimits(size=1, waiting=1))
        held = await pool.acquire()
        for when in ("before", "after"):
            waiting = asyncio.create_task(pool.acquire())
            await asyncio.sleep(0)
            if when == "after":
                await held.send(GET)  # freed, and given to the one who waits, in the same turn
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
        async with asyncio.timeout(5):
            again = await pool.acquire()
        assert again is held
        assert server.connections == 1
        pool.close()


async def test_a_failed_dial_lets_the_next_waiting_call_try() -> None:
    async with RawServer(ok) as server:
        pool = pool_of(server, PoolLimits(size=1))
        held = await pool.acquire()
        waiting = [asyncio.create_task(get(pool)) for _ in range(2)]
        await asyncio.sleep(0)
        held.close()
        assert [received.body for received in await asyncio.gather(*waiting)] == [b"{}"] * 2
        pool.close()


@pytest.mark.parametrize(
    "head",
    [
        "Connection: close",
        "Keep-Alive: timeout=1",
        "Keep-Alive: max=5, timeout=0",
        "keep-alive: Timeout = 1",
    ],
)
async def test_a_connection_that_the_server_will_not_keep_is_not_kept(head: str) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"{}", "application/json", "200 OK", head))

    async with RawServer(answer) as server:
        pool = pool_of(server)
        await get(pool)
        await get(pool)
        assert server.connections == 2
        pool.close()


async def test_a_longer_keep_alive_does_not_extend_ours() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"{}", "application/json", "200 OK", "Keep-Alive: timeout=600"))

    async with RawServer(answer) as server:
        pool = pool_of(server, PoolLimits(idle=0.05))
        await get(pool)
        assert len(pool) == 1
        await until(lambda: len(pool) == 0)  # dropped by itself, with no call needed
        assert pool.take() is None
        pool.close()


async def test_an_old_connection_is_not_handed_out() -> None:
    async with RawServer(ok) as server:
        pool = pool_of(server)
        connection = await pool.acquire()
        await connection.send(GET)
        assert connection.idle_until > 0
        connection.idle_until = 0.0
        assert pool.take() is None
        pool.close()


async def test_a_connection_that_the_server_closed_is_not_handed_out() -> None:
    async def close_after(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"{}"))
        await out.drain()
        out.close()

    async with RawServer(close_after) as server:
        pool = pool_of(server)
        await get(pool)
        await until(lambda: len(pool) == 0)
        await get(pool)
        assert server.connections == 2
        pool.close()


@pytest.mark.parametrize("surplus", [plain(b'{"smuggled":1}'), b"HTTP/1.1 200 OK\r\n", b"x"])
async def test_bytes_that_nobody_asked_for_never_become_a_reply(surplus: bytes) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"{}") + (surplus if len(server.requests) == 1 else b""))

    async with RawServer(answer) as server:
        pool = pool_of(server)
        try:
            assert (await get(pool)).body == b"{}"
        except UpstreamBadReply:
            assert surplus == b"x"
        assert (await get(pool)).body == b"{}"
        assert server.connections == 2
        pool.close()


async def test_bytes_on_an_idle_connection_close_it() -> None:
    writers: list[asyncio.StreamWriter] = []

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        writers.append(out)
        out.write(plain(b"{}"))

    async with RawServer(answer) as server:
        pool = pool_of(server)
        await get(pool)
        writers[0].write(plain(b"", status="408 Request Timeout"))
        await until(lambda: len(pool) == 0)
        assert (await get(pool)).body == b"{}"
        assert server.connections == 2
        pool.close()


async def test_a_stale_connection_is_told_from_a_lost_one() -> None:
    async def second_time_gone(request: Request, out: asyncio.StreamWriter) -> None:
        if len([r for r in server.requests if r.connection == request.connection]) == 1:
            out.write(plain(b"{}"))
        else:
            out.close()

    async with RawServer(second_time_gone) as server:
        pool = pool_of(server)
        await get(pool)
        with pytest.raises(StaleConnection) as caught:
            await get(pool)
        assert caught.value.reached
        pool.close()

    async def gone(request: Request, out: asyncio.StreamWriter) -> None:
        out.close()

    async with RawServer(gone) as server:
        pool = pool_of(server)
        with pytest.raises(UpstreamLost) as lost:
            await get(pool)
        assert type(lost.value) is UpstreamLost
        assert lost.value.reached
        pool.close()


async def test_a_reply_that_ends_with_its_connection_is_whole() -> None:
    async def old(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n\r\n")
        out.write(b'{"a":')
        await out.drain()
        out.write(b"1}")
        out.close()

    async with RawServer(old) as server:
        pool = pool_of(server)
        assert (await get(pool)).body == b'{"a":1}'
        assert (await get(pool)).body == b'{"a":1}'
        assert server.connections == 2
        pool.close()


async def test_interim_replies_are_skipped_and_chunks_and_trailers_read() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(b"HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nContent-Type: text/html\r\n\r\n")
        out.write(
            b"HTTP/1.1 200 OK\r\nContent-Type: Application/JSON ; x=y\r\nTransfer-Encoding: chunked\r\n\r\n"
        )
        out.write(chunk(b'{"a"') + chunk(b":1}") + b"0\r\nContent-Type: text/plain\r\nX-T: 1\r\n\r\n")

    async with RawServer(answer) as server:
        pool = pool_of(server)
        for _ in range(2):
            received = await get(pool)
            assert (received.status, received.media, received.body) == (200, b"application/json", b'{"a":1}')
        assert server.connections == 1
        pool.close()


async def test_a_closed_pool_gives_nothing() -> None:
    async with RawServer(ok) as server:
        pool = pool_of(server, PoolLimits(size=1))
        held = await pool.acquire()
        waiting = asyncio.create_task(pool.acquire())
        await asyncio.sleep(0)
        pool.close()
        with pytest.raises(UpstreamUnreachable, match="being closed"):
            await waiting
        with pytest.raises(UpstreamUnreachable, match="being closed"):
            await pool.acquire()
        await until(lambda: not held.usable)
