"""What a server over HTTP says of itself: the GET stream of legacy ones, subscriptions at modern ones."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from collections.abc import Callable

import pytest
from msgspec.structs import replace

from coatcheck.core.wire import reopening
from coatcheck.errors import UpstreamError, UpstreamLost, UpstreamUnreachable
from coatcheck.model.call import Fault, Notice, Reply, Result
from coatcheck.model.era import Era
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.pool import PoolLimits
from coatcheck.upstream.http.hop.reading import ReplyLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from coatcheck.upstream.pace import Pace
from doubles.clients import ScriptedClient, gateway_itself
from upstream.permits import CALLER, unheard
from upstream.raw_servers import STREAM, RawServer, Request, chunk, event, fault, plain, text_result
from upstream.talking import (  # fmt: skip
    END,
    NO_STREAM,
    Talking,
    TalkingModern,
    call,
    hold,
    notice,
    numbered,
    permit,
    text_of,
    told,
    until,
    upstream_of,
)


def session_client() -> ScriptedClient:
    return ScriptedClient(era=Era.LEGACY)


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reopening, "LEAST", 0.02)


# --- the GET stream ---------------------------------------------------------------------------------------


async def test_a_session_of_its_own_is_heard_from_the_start() -> None:
    talking, client = Talking(), session_client()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "hi"
        assert server.methods()[:4] == ["initialize", "notifications/initialized", "GET", "tools/call"]
        opening = server.requests[2]
        assert opening.headers["mcp-session-id"] == "s-1"
        assert opening.headers["mcp-protocol-version"] == "2025-11-25"
        assert opening.headers["accept"] == "text/event-stream"
        assert "last-event-id" not in opening.headers
        sent = [
            notice("notifications/tools/list_changed"),
            notice("notifications/resources/updated", uri="file:///a"),
            notice("notifications/message", level="info", data=[1.0]),
            notice("notifications/elicitation/complete", elicitationId="e"),
            notice("notifications/vendor/x", y=1),
        ]
        for value in (*sent, notice("notifications/roots/list_changed"), notice("notifications/initialized")):
            await talking.say(value)
        await talking.say({"jsonrpc": "2.0", "id": 1, "result": {}})
        await talking.say(["no message"])
        await talking.say(notice("notifications/last"))
        await until(lambda: "notifications/last" in told(client))
        assert told(client) == [*(value["method"] for value in sent), "notifications/last"]
        assert client.told[2].params == b'{"level": "info", "data": [1.0]}'


async def test_a_shared_upstream_is_heard_only_while_somebody_waits() -> None:
    talking, client = Talking(), gateway_itself()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        assert text_of(await call(upstream)) == "hi"
        assert server.sent("GET") == []
        upstream.attend(True)
        await talking.say(notice("notifications/tools/list_changed"))
        await until(lambda: client.told)
        upstream.attend(False)
        await until(lambda: not talking.listening)
        assert len(server.sent("GET")) == 1
        assert text_of(await call(upstream)) == "hi"
        upstream.attend(True)
        await until(lambda: talking.listening)
        assert talking.sessions == ["s-1"]


async def test_waiting_for_news_connects() -> None:
    talking, client = Talking(), gateway_itself()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        upstream.attend(True)
        await talking.say(notice("notifications/tools/list_changed"))
        await until(lambda: client.told)
        assert upstream.status().sessions == 1


async def test_waiting_for_news_of_a_server_that_is_down_goes_on_until_it_is_back() -> None:
    broken = [True]
    talking, client = Talking(), gateway_itself()

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if broken[0]:
            out.write(plain(b"", status="503 Service Unavailable"))
        else:
            await talking(request, out)

    async with RawServer(answer) as server, upstream_of(server, client) as upstream:
        upstream.attend(True)
        await until(lambda: len(server.requests) > 2)
        assert "not available for now (503)" in upstream.status().last_error
        broken[0] = False
        await talking.say(notice("notifications/tools/list_changed"))
        await until(lambda: client.told)


@pytest.mark.parametrize(
    "status", ["405 Method Not Allowed", "404 Not Found", "400 Bad Request", "406 No", "200 OK"]
)
async def test_a_server_without_a_stream_is_not_asked_for_it_again(status: str) -> None:
    async def none(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"<html>", "text/html", status))

    async with RawServer(Talking(get=none)) as server, upstream_of(server, session_client()) as upstream:
        for _ in range(3):
            assert text_of(await call(upstream)) == "hi"
        await asyncio.sleep(0.1)
        assert len(server.sent("GET")) == 1
        assert len(server.sent("initialize")) == 1


async def test_a_stream_that_ends_is_resumed_after_its_last_event() -> None:
    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        number = len(server.sent("GET"))
        if number == 4:
            await talking.listen(request, out)
            return
        value = notice("notifications/x", number=number) if number != 2 else None
        out.write(
            STREAM
            + chunk(b"retry: 5\n" + (numbered(f"get-{number}", value) if value else b"data:\n\n"))
            + END
        )

    talking, client = Talking(get=get), session_client()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        await upstream.greet()
        await until(lambda: talking.listening)
        asked = [request.headers.get("last-event-id") for request in server.sent("GET")]
        assert asked == [None, "get-1", "get-1", "get-3"]
        assert [json.loads(one.params) for one in client.told] == [{"number": 1}, {"number": 3}]


async def test_a_server_that_did_not_notice_that_we_hung_up_is_asked_again() -> None:
    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        if len(server.sent("GET")) in (2, 3):
            out.write(plain(b"Conflict: Only one SSE stream is allowed", "text/plain", "409 Conflict"))
        else:
            await talking.listen(request, out)

    talking = Talking(get=get)
    async with RawServer(talking) as server, upstream_of(server) as upstream:
        upstream.attend(True)
        await until(lambda: talking.listening)
        upstream.attend(False)
        await until(lambda: not talking.listening)
        upstream.attend(True)
        await until(lambda: talking.listening)
        assert len(server.sent("GET")) == 4


async def test_who_stops_attending_while_the_stream_is_being_opened_hangs_up_all_the_same() -> None:
    late, ended = asyncio.Event(), asyncio.Event()

    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        await late.wait()
        await talking.listen(request, out)
        ended.set()

    talking = Talking(get=get)
    async with RawServer(talking) as server, upstream_of(server) as upstream:
        upstream.attend(True)
        await until(lambda: server.sent("GET"))
        upstream.attend(False)
        late.set()
        await until(ended.is_set)
        upstream.attend(True)
        await until(lambda: talking.listening)


async def test_that_a_server_has_no_stream_is_remembered() -> None:
    async def none(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(NO_STREAM)

    async with RawServer(Talking(get=none)) as server, upstream_of(server) as upstream:
        upstream.attend(True)
        await until(lambda: server.sent("GET"))
        for _ in range(5):
            assert text_of(await call(upstream)) == "hi"
            upstream.attend(False)
            upstream.attend(True)
        assert len(server.sent("GET")) == 1


async def test_a_stream_that_cannot_be_resumed_is_heard_anew() -> None:
    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        if "last-event-id" in request.headers:
            out.write(plain(b"", "text/plain", "400 Bad Request"))
        elif len(server.sent("GET")) > 1:
            await talking.listen(request, out)
        else:
            out.write(STREAM + chunk(numbered("gone", retry=1)) + END)

    talking = Talking(get=get)
    async with RawServer(talking) as server, upstream_of(server, session_client()) as upstream:
        await upstream.greet()
        await until(lambda: talking.listening)
        assert [request.headers.get("last-event-id") for request in server.sent("GET")] == [
            None,
            "gone",
            None,
        ]


@pytest.mark.parametrize("shape", ["stream", "503", "cut"])
async def test_a_server_that_closes_at_once_is_asked_ever_less_often(
    shape: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pauses: list[int] = []
    before = reopening.before_reopening

    def counted(poor: int, retry: int | None, spread: float) -> float:
        pauses.append(poor)
        return before(0, 1, spread) if len(pauses) < 6 else 60.0

    monkeypatch.setattr(reopening, "before_reopening", counted)

    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        if shape == "503":
            out.write(plain(b"", status="503 Service Unavailable"))
        else:
            out.write(STREAM + (END if shape == "stream" else b""))
            await out.drain()
            out.close()

    async with RawServer(Talking(get=get)) as server, upstream_of(server, session_client()) as upstream:
        await upstream.greet()
        await until(lambda: len(pauses) == 6)
        assert pauses == [1, 2, 3, 4, 5, 6]
        assert text_of(await call(upstream)) == "hi"


async def test_a_server_that_sends_no_head_before_the_first_event_holds_nobody_up_for_long() -> None:
    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        await hold(out)

    limits = HttpLimits(hearing=0.05)
    async with (
        RawServer(Talking(get=get)) as server,
        upstream_of(server, session_client(), limits) as upstream,
    ):
        assert text_of(await call(upstream)) == "hi"
        assert len(server.sent("GET")) == 1


async def test_progress_on_the_stream_of_its_own_finds_its_call() -> None:
    async def work(request: Request, out: asyncio.StreamWriter) -> None:
        for token in ("nobody's", request.message["params"]["_meta"]["progressToken"]):
            await talking.say(notice("notifications/progress", progressToken=token, progress=1))
        await until(lambda: heard)
        out.write(text_result(request, "done"))

    talking, client = Talking(work), session_client()
    heard: list[Notice] = []
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        wanted = permit(upstream.server, "tools/call", name="echo")
        wanted = replace(wanted, call=replace(wanted.call, meta={"progressToken": b'"mine"'}))
        assert text_of(await upstream.forward(wanted, CALLER, heard.append)) == "done"
        assert heard == [Notice("notifications/progress", b'{"progressToken":"mine","progress":1}')]
        assert client.told == []


async def test_a_flood_is_read_at_a_pace_and_calls_go_on() -> None:
    flood = event(notice("notifications/message", data="x" * 100)) * 50
    sent = [0]

    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM)
        while not out.is_closing():
            out.write(chunk(flood))
            sent[0] += 50
            await out.drain()
            await asyncio.sleep(0)

    client = session_client()
    limits = HttpLimits(pace=Pace(200))
    async with RawServer(Talking(get=get)) as server, upstream_of(server, client, limits) as upstream:
        tracemalloc.start()
        try:
            for number in range(20):
                assert text_of(await call(upstream, str(number))) == str(number)
                await asyncio.sleep(0.01)
            assert tracemalloc.get_traced_memory()[1] < 16 * 1024 * 1024
        finally:
            tracemalloc.stop()
        assert 0 < len(client.told) < 2500, "one burst, and what one read brings beyond it"


async def test_an_event_without_end_breaks_the_stream_and_not_the_calls() -> None:
    async def get(request: Request, out: asyncio.StreamWriter) -> None:
        if len(server.sent("GET")) > 1:
            await talking.listen(request, out)
            return
        out.write(STREAM + chunk(b"data: "))
        for _ in range(80):
            out.write(chunk(b"x" * 1024))
        await hold(out)

    talking = Talking(get=get)
    limits = HttpLimits(reply=ReplyLimits(body=64 * 1024))
    async with RawServer(talking) as server, upstream_of(server, session_client(), limits) as upstream:
        assert text_of(await call(upstream)) == "hi"
        await until(lambda: talking.listening)
        assert text_of(await call(upstream)) == "hi"


# --- our own subscription at a modern server ----------------------------------------------------------------


async def test_list_changes_of_a_modern_server_are_subscribed_to() -> None:
    talking, client = TalkingModern(), gateway_itself()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        await upstream.greet()
        assert talking.listening == []
        upstream.attend(True)
        await talking.say("notifications/tools/list_changed")
        await until(lambda: client.told)
        assert client.told == [Notice("notifications/tools/list_changed", b"{}")]
        request = server.sent("subscriptions/listen")[0]
        assert request.message["params"]["notifications"] == {
            "toolsListChanged": True,
            "resourcesListChanged": True,
        }
        assert request.headers["mcp-method"] == "subscriptions/listen"
        assert request.message["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        upstream.attend(False)
        await until(lambda: not talking.listening)


async def test_a_modern_server_that_announces_no_changes_is_not_asked() -> None:
    talking = TalkingModern(capabilities={"tools": {}, "prompts": {"listChanged": False}})
    async with RawServer(talking) as server, upstream_of(server) as upstream:
        upstream.attend(True)
        await until(lambda: upstream.state == "idle" and server.requests)
        assert text_of(await call(upstream)) == "hi"
        assert server.sent("subscriptions/listen") == []


ENDS: dict[str, Callable[[Request], bytes]] = {
    "result": lambda r: chunk(event({"jsonrpc": "2.0", "id": r.id, "result": {}})) + END,
    "cancelled": lambda r: chunk(event(notice("notifications/cancelled", requestId=r.id))) + END,
    "end of stream": lambda r: END,
}


@pytest.mark.parametrize("end", ENDS)
async def test_a_subscription_that_ends_is_made_again(end: str) -> None:
    async def listen(request: Request, out: asyncio.StreamWriter) -> None:
        if len(server.sent("subscriptions/listen")) < 3:
            out.write(STREAM + ENDS[end](request))
        else:
            await talking.acknowledge(request, out)

    talking, client = TalkingModern(listen), gateway_itself()
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        upstream.attend(True)
        await talking.say("notifications/tools/list_changed")
        await until(lambda: client.told)
        ids = [request.id for request in server.sent("subscriptions/listen")]
        assert len(set(ids)) == 3


@pytest.mark.parametrize(
    "refusal",
    [
        lambda r: fault(r, -32601, "Method not found", "404 Not Found"),
        lambda r: fault(r, -32601, "Method not found"),
        lambda r: plain(b"<html>", "text/html"),
        lambda r: plain(b"", status="404 Not Found"),
        lambda r: plain(b"", status="401 Unauthorized"),
    ],
)
async def test_a_modern_server_without_subscriptions_is_asked_once(
    refusal: Callable[[Request], bytes],
) -> None:
    async def listen(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(refusal(request))

    async with RawServer(TalkingModern(listen)) as server, upstream_of(server) as upstream:
        upstream.attend(True)
        await until(lambda: server.sent("subscriptions/listen"))
        assert text_of(await call(upstream)) == "hi"
        await asyncio.sleep(0.1)
        assert len(server.sent("subscriptions/listen")) == 1


# --- subscriptions of callers -----------------------------------------------------------------------------


async def subscribe(upstream: HttpUpstream, heard: list[Notice]) -> Reply:
    wanted = permit(upstream.server, "subscriptions/listen", notifications={"toolsListChanged": True})
    return await upstream.forward(wanted, CALLER, heard.append)


@pytest.mark.parametrize("end", ["result", "cancelled"])
async def test_a_callers_subscription_hears_all_of_its_stream_and_nothing_of_our_id(end: str) -> None:
    talking, client, heard = TalkingModern(), gateway_itself(), []  # type: tuple[TalkingModern, ScriptedClient, list[Notice]]
    async with RawServer(talking) as server, upstream_of(server, client) as upstream:
        under_way = asyncio.create_task(subscribe(upstream, heard))
        await talking.say("notifications/tools/list_changed")
        await talking.say("notifications/resources/updated", uri="file:///a")
        await talking.say("notifications/vendor/x", more={"y": 1})
        await until(lambda: len(heard) == 4)
        assert [(one.method, json.loads(one.params)) for one in heard] == [
            ("notifications/subscriptions/acknowledged", {"notifications": {"toolsListChanged": True}}),
            ("notifications/tools/list_changed", {}),
            ("notifications/resources/updated", {"uri": "file:///a"}),
            ("notifications/vendor/x", {"more": {"y": 1}}),
        ]
        request, out = talking.listening[-1]
        assert request.message["params"]["notifications"] == {"toolsListChanged": True}
        meta = {"io.modelcontextprotocol/subscriptionId": request.id, "kept": 1}
        if end == "result":
            out.write(chunk(event({"jsonrpc": "2.0", "id": request.id, "result": {"x": 1, "_meta": meta}})))
            assert await under_way == Result(b'{"x":1,"_meta":{"kept":1}}')
        else:
            out.write(chunk(event(notice("notifications/cancelled", requestId=request.id))))
            assert await under_way == Result(b"{}")
        assert client.told == []


async def test_a_callers_subscription_that_breaks_is_lost_and_one_refused_says_so() -> None:
    async def listen(request: Request, out: asyncio.StreamWriter) -> None:
        if request.message["params"]["notifications"]:
            out.write(STREAM)
            await out.drain()
            out.close()
        else:
            out.write(fault(request, -32603, "Subscription limit reached"))

    async with RawServer(TalkingModern(listen)) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamLost):
            await subscribe(upstream, [])
        refused = await upstream.forward(
            permit(upstream.server, "subscriptions/listen", notifications={}), CALLER, unheard
        )
        assert refused == Fault(-32603, "Subscription limit reached")
        assert len(server.sent("subscriptions/listen")) == 2


async def test_a_callers_subscription_given_up_closes_its_stream() -> None:
    talking = TalkingModern()
    async with RawServer(talking) as server, upstream_of(server) as upstream:
        under_way = asyncio.create_task(subscribe(upstream, []))
        await until(lambda: talking.listening)
        under_way.cancel()
        await asyncio.gather(under_way, return_exceptions=True)
        await until(lambda: not talking.listening)
        assert server.sent("notifications/cancelled") == []
        assert upstream.status().in_flight == 0


async def test_subscriptions_are_bounded_and_leave_the_connections_to_calls() -> None:
    talking = TalkingModern()
    limits = HttpLimits(streams=3, pool=PoolLimits(size=1))
    async with RawServer(talking) as server, upstream_of(server, limits=limits) as upstream:
        upstream.attend(True)
        under_way = [asyncio.create_task(subscribe(upstream, [])) for _ in range(3)]
        await until(lambda: len(talking.listening) == 4)
        with pytest.raises(UpstreamUnreachable, match="all 3 streams that weather may keep open are in use"):
            await subscribe(upstream, [])
        assert text_of(await call(upstream)) == "hi"
        under_way[0].cancel()
        await until(lambda: len(talking.listening) == 3)
        again = asyncio.create_task(subscribe(upstream, []))
        await until(lambda: len(talking.listening) == 4)
        assert not again.done()
        await upstream.close(5)
        for task in (*under_way[1:], again):
            with pytest.raises(UpstreamError):
                await task


async def test_a_subscription_at_a_legacy_server_is_a_request_like_any_other() -> None:
    async with RawServer(Talking(get=_refuse)) as server, upstream_of(server) as upstream:
        assert await subscribe(upstream, []) == Result(b"{}")


async def _refuse(request: Request, out: asyncio.StreamWriter) -> None:
    out.write(NO_STREAM)
