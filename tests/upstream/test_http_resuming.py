"""Streams of calls that a legacy server closes before the answer: resumed, within bounds, and nothing sent twice."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.errors import UpstreamLost
from coatcheck.model.era import Era
from coatcheck.upstream.http.hop.limits import HttpLimits
from doubles.clients import ScriptedClient
from upstream.raw_servers import STREAM, RawServer, Request, chunk, plain
from upstream.talking import (  # fmt: skip
    END,
    NO_STREAM,
    Talking,
    TalkingModern,
    asking,
    call,
    done,
    hold,
    notice,
    numbered,
    text_of,
    until,
    upstream_of,
)


class Polled:
    """Answers a call by a stream that ends at once, and the answer in pieces to those who come back for it."""

    def __init__(self, *pieces: list[object], retry: int | None = 10, end: bytes = END) -> None:
        self.pieces = list(pieces)
        self.retry = retry
        self.end = end
        self.request: Request | None = None
        self.resumed: list[str] = []

    async def call(self, request: Request, out: asyncio.StreamWriter) -> None:
        self.request = request
        out.write(STREAM + chunk(numbered("call-0", retry=self.retry)))
        await self.stop(out)

    async def get(self, request: Request, out: asyncio.StreamWriter) -> None:
        if "last-event-id" not in request.headers:
            out.write(NO_STREAM)
            return
        self.resumed.append(request.headers["last-event-id"])
        out.write(STREAM)
        number = len(self.resumed)
        for at, value in enumerate(self.pieces.pop(0) if self.pieces else []):
            assert self.request is not None
            found = done(self.request) if value == "answer" else value
            out.write(chunk(numbered(f"call-{number}-{at}", found)))
        await self.stop(out)

    async def stop(self, out: asyncio.StreamWriter) -> None:
        await out.drain()
        if self.end:
            out.write(self.end)
        else:
            out.close()


@pytest.mark.parametrize("end", [END, b""], ids=["ended", "cut"])
@pytest.mark.parametrize("era", [Era.LEGACY, Era.MODERN], ids=["session", "shared"])
async def test_the_rest_of_a_stream_is_asked_for_after_its_last_event(era: Era, end: bytes) -> None:
    polled = Polled([], [notice("notifications/message", data=1)], [asking("q"), "answer"], end=end)
    client = ScriptedClient(era=era)
    heard: list[str] = []
    async with RawServer(Talking(polled.call, polled.get)) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream, notify=lambda n: heard.append(n.method))) == "done"
        assert polled.resumed == ["call-0", "call-0", "call-2-0"]
        assert client.paused == [(b'"of the caller"', 10)] * 3
        assert heard == ["notifications/message"]
        assert [within for _, within in client.asked] == [b'"of the caller"']
        assert len(server.sent("tools/call")) == 1
        resuming = next(request for request in server.requests if "last-event-id" in request.headers)
        assert resuming.headers["mcp-session-id"] == "s-1"
        assert resuming.headers["accept"] == "text/event-stream"


async def test_without_ids_there_is_nothing_to_resume() -> None:
    async def cut(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(b"retry: 1\ndata:\n\n") + END)

    async with RawServer(Talking(cut)) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamLost, match="ended its stream before the answer") as caught:
            await call(upstream)
        assert caught.value.reached
        assert server.sent("GET") == []


async def test_an_id_whose_event_never_ended_is_not_resumed_after() -> None:
    async def cut(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(numbered("whole", retry=1) + b"id: half\ndata: {") + END)
        polled.request = request

    polled = Polled(["answer"])
    async with RawServer(Talking(cut, polled.get)) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "done"
        assert polled.resumed == ["whole"]


@pytest.mark.parametrize("id", ["a\tb", "x" * 1025, " ", "\x7f"])
async def test_an_id_that_no_header_can_carry_is_none(id: str) -> None:
    async def cut(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(numbered(id, retry=1)) + END)

    async with RawServer(Talking(cut)) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamLost):
            await call(upstream)
        assert server.sent("GET") == []


async def test_a_modern_server_that_closes_its_stream_has_lost_the_call() -> None:
    polled = Polled(["answer"])
    async with RawServer(TalkingModern(call=polled.call)) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamLost):
            await call(upstream)
        assert server.sent("GET") == []


@pytest.mark.parametrize("status", ["404 Not Found", "405 No", "400 Bad Request", "401 No", "200 OK"])
async def test_a_server_that_does_not_resume_has_lost_the_call(status: str) -> None:
    async def refuse(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"", "text/plain", status))

    polled = Polled()
    async with RawServer(Talking(polled.call, refuse)) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamLost) as caught:
            await call(upstream)
        assert caught.value.reached
        assert len(server.sent("GET")) == 1
        assert len(server.sent("tools/call")) == 1


async def test_a_server_that_never_answers_is_asked_a_bounded_number_of_times() -> None:
    polled = Polled(retry=0)
    limits = HttpLimits(resumptions=5)
    async with (
        RawServer(Talking(polled.call, polled.get)) as server,
        upstream_of(server, limits=limits) as upstream,
    ):
        with pytest.raises(UpstreamLost):
            await call(upstream)
        assert len(polled.resumed) == 5


async def test_giving_up_between_two_streams_tells_the_server() -> None:
    polled = Polled(retry=60_000)
    client = ScriptedClient()
    async with RawServer(Talking(polled.call, polled.get)) as server, upstream_of(server, client) as upstream:
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.2):
                await call(upstream)
        await until(lambda: server.sent("notifications/cancelled"))
        (cancelled,) = server.sent("notifications/cancelled")
        assert cancelled.message["params"] == {"requestId": server.sent("tools/call")[0].id}
        assert client.paused == [(b'"of the caller"', 60_000)]
        assert polled.resumed == []


async def test_a_resumed_stream_that_stays_open_is_listened_to() -> None:
    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        assert polled.request is not None
        out.write(STREAM + chunk(b": hello\n\n"))
        await out.drain()
        await asyncio.sleep(0.02)
        out.write(chunk(numbered("z", done(polled.request, "late"))))
        await hold(out)

    polled = Polled()
    async with RawServer(Talking(polled.call, get)) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "late"
