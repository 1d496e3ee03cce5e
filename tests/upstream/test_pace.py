"""One server that never stops talking gets its share of the loop, in turns, and what it sends takes no more room."""

from __future__ import annotations

import asyncio
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress
from uuid import UUID

import pytest

from coatcheck.errors import UpstreamError
from coatcheck.model.call import Notice, Result
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from coatcheck.upstream.pace import MESSAGE, RATE, Pace, Paces
from coatcheck.upstream.stdio.child import Child, ChildLimits
from coatcheck.upstream.stdio.spawn import Launch
from doubles.clients import gateway_itself
from upstream.permits import CALLER, http_server, permit_for, unheard
from upstream.raw_servers import STREAM, Peer, RawServer, Request, chunk, event, message, text_result

MIB = 1024 * 1024
NOTE = event({"jsonrpc": "2.0", "method": "x"})
IN_ONE_GO = 8 * 1024 // len(NOTE) + 2


def upstream_at(server: RawServer, pace: Pace) -> HttpUpstream:
    return HttpUpstream(http_server(server.url), Egress(True), HttpLimits(pace=pace), gateway_itself())


class Steps:
    """Counts what is heard, and the most of it in one step of the loop."""

    def __init__(self) -> None:
        self.heard = self.most = self._before = 0

    def hear(self, _notice: Notice) -> None:
        self.heard += 1

    async def watch(self) -> None:
        """Look at every step."""
        while True:
            self.most = max(self.most, self.heard - self._before)
            self._before = self.heard
            await asyncio.sleep(0)


# --- the share ---------------------------------------------------------------------------------------------


async def test_what_is_within_the_share_is_read_at_once_and_what_is_beyond_waits() -> None:
    pace = Pace(100)
    spent = [pace.spent]
    for units in (MESSAGE, 100):
        pace.spend(units)
        spent.append(pace.spent)
    assert spent == [False, False, True]
    gone = asyncio.Event()
    pace.wait(gone.set)
    await asyncio.sleep(0)
    assert not gone.is_set()
    async with asyncio.timeout(10):
        await gone.wait()
    assert not pace.spent


async def test_those_who_wait_go_on_in_turn_and_each_of_them_once_a_round() -> None:
    pace, turns, over = Pace(10_000), list[int](), asyncio.Event()

    def waiter(number: int) -> Callable[[], None]:
        def go_on() -> None:
            turns.append(number)
            if len(turns) == 40:
                over.set()
            elif number != 3:  # which is gone, and so takes nothing and waits no more
                pace.spend(50)
                pace.wait(go_on)

        return go_on

    pace.spend(10_000)
    for number in range(4):
        pace.wait(waiter(number))
    async with asyncio.timeout(10):
        await over.wait()
    assert turns[:40] == [0, 1, 2, 3] + [0, 1, 2] * 12


def test_a_server_has_one_pace_for_as_long_as_it_is_in_use() -> None:
    paces, one, other = Paces(), UUID(int=1), UUID(int=2)
    pace = paces.of(one)
    assert paces.of(one) is pace
    assert paces.of(other) is not pace


# --- over HTTP ---------------------------------------------------------------------------------------------


async def test_answers_in_one_piece_are_free() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(text_result(request, "x" * 6_000))

    class Counting(Pace):
        used = 0.0

        def spend(self, units: float) -> None:
            self.used += units
            super().spend(units)

    pace = Counting()
    async with RawServer(Peer(answer, "modern")) as server:
        upstream = upstream_at(server, pace)
        for _ in range(50):
            assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, unheard), Result)
        assert pace.used == 0
        await upstream.close(0)


@pytest.mark.parametrize("times", [100, 20_000])
async def test_a_flood_on_the_stream_of_a_call_leaves_the_loop_to_others_and_loses_nothing(
    times: int,
) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        done = event({"jsonrpc": "2.0", "id": request.id, "result": {}})
        out.write(STREAM + chunk(NOTE * times + done) + b"0\r\n\r\n")

    steps = Steps()
    async with RawServer(Peer(answer, "modern")) as server:
        upstream = upstream_at(server, Pace(10 * RATE))
        await upstream.greet()
        watching = asyncio.create_task(steps.watch())
        assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, steps.hear), Result)
        await asyncio.sleep(0)
        watching.cancel()
        assert steps.heard == times
        assert 0 < steps.most <= IN_ONE_GO
        assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, steps.hear), Result)
        assert server.connections <= 2  # a connection that was read in turns is as good as any
        await upstream.close(0)


async def test_many_streams_of_one_server_take_turns() -> None:
    endless = chunk(NOTE * 1000)

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM)
        with suppress(ConnectionError):
            while True:
                out.write(endless)
                await out.drain()

    heard = [0] * 8

    def hear(number: int) -> Callable[[Notice], None]:
        def count(_notice: Notice) -> None:
            heard[number] += 1

        return count

    async with RawServer(Peer(answer, "modern")) as server:
        upstream = upstream_at(server, Pace(RATE))
        await upstream.greet()
        calls = [
            asyncio.create_task(upstream.forward(permit_for(upstream.server), CALLER, hear(number)))
            for number in range(8)
        ]
        async with asyncio.timeout(20):
            while min(heard) < 3 * IN_ONE_GO:
                await asyncio.sleep(0.01)
        assert max(heard) <= 3 * min(heard), "each has its turn"
        for one in calls:
            one.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        await upstream.close(0)


async def test_what_was_read_ahead_counts_although_the_server_is_gone() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        done = event({"jsonrpc": "2.0", "id": request.id, "result": {}})
        out.write(STREAM + chunk(NOTE * 4000 + done) + b"0\r\n\r\n")
        await out.drain()
        out.close()

    steps = Steps()
    async with RawServer(Peer(answer, "modern")) as server:
        upstream = upstream_at(server, Pace(4 * RATE))
        assert isinstance(await upstream.forward(permit_for(upstream.server), CALLER, steps.hear), Result)
        assert steps.heard == 4000
        await upstream.close(0)


SMALL = b"2\r\n  \r\n" * 20_000
PIECES = {
    "body": (
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n",
        SMALL,
    ),
    "lines": (STREAM, chunk(b"data:ab\n" * 20_000)),
    "chunks": (STREAM + chunk(b"data: "), SMALL),
}


@pytest.mark.parametrize("kind", PIECES)
async def test_the_smallest_pieces_take_no_more_room_than_they_weigh(kind: str) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        head, piece = PIECES[kind]
        out.write(head)
        for _ in range(10):
            out.write(piece)
            await out.drain()
        done = message({"jsonrpc": "2.0", "id": request.id, "result": {}})
        out.write((chunk(done) if kind == "body" else chunk(b"\n\n")) + b"0\r\n\r\n")

    async with RawServer(Peer(answer, "modern")) as server:
        upstream = upstream_at(server, Pace(1e9))
        await upstream.greet()
        tracemalloc.start()
        try:
            with suppress(UpstreamError):
                await upstream.forward(permit_for(upstream.server), CALLER, unheard)
            assert tracemalloc.get_traced_memory()[1] < 5 * MIB
        finally:
            tracemalloc.stop()
        await upstream.close(0)


# --- over the pipes of a child -----------------------------------------------------------------------------


class Listener:
    """Counts lines. What begins with `answer` was awaited."""

    def __init__(self) -> None:
        self.steps = Steps()
        self.gone = asyncio.Event()

    def on_line(self, line: bytes) -> bool:
        self.steps.heard += 1
        return line.startswith(b"answer")

    def on_stderr(self, chunk: bytes) -> None:
        pass

    def on_gone(self, cause: str, *, oversized: bool) -> None:
        self.gone.set()


@pytest.mark.parametrize("word", ["answer", "notice"])
async def test_a_child_that_chatters_is_read_in_turns_and_answers_are_free(word: str) -> None:
    code = f"import sys\nfor _ in range(20000): sys.stdout.write('{word}\\n')\n"
    listener, pace = Listener(), Pace(20 * RATE)
    launch = Launch("chatter", sys.executable, ("-c", code), {"PATH": "/usr/bin:/bin"})
    watching = asyncio.create_task(listener.steps.watch())
    child = await Child.spawn(launch, ChildLimits(pace=pace, rest_of_output=5), listener)
    async with asyncio.timeout(20):
        await listener.gone.wait()
    watching.cancel()
    await child.stop()
    assert listener.steps.heard == 20_000
    assert listener.steps.most <= 2 * (8 * 1024 // (len(word) + 1) + 1)
    assert pace._until == 0 or word == "notice"


async def test_one_that_fails_leaves_nobody_waiting() -> None:
    pace, gone = Pace(10_000), asyncio.Event()
    pace.spend(10_000)

    def fail() -> None:
        raise ZeroDivisionError

    loop, told = asyncio.get_running_loop(), list[object]()
    loop.set_exception_handler(lambda _, context: told.append(context.get("exception")))
    pace.wait(fail)
    pace.wait(gone.set)
    async with asyncio.timeout(10):
        await gone.wait()
    assert [type(one) for one in told] == [ZeroDivisionError]
