"""A server over HTTP as an upstream: both eras, sessions lost and found, progress, cancelling, closing."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest

from coatcheck.errors import (
    UpstreamBadReply,
    UpstreamForbidden,
    UpstreamLost,
    UpstreamTimeout,
    UpstreamUnreachable,
)
from coatcheck.model.call import Notice, Reply, Result
from coatcheck.model.era import Era
from coatcheck.model.server import Transport
from coatcheck.ports import Ask, State
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.hop.pool import PoolLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.clients import gateway_itself
from upstream.permits import CALLER, http_server, permit_for, unheard
from upstream.raw_servers import (
    STREAM,
    Peer,
    RawServer,
    Request,
    chunk,
    event,
    fault,
    message,
    plain,
    result,
    text_result,
)

ACCEPTED = b"HTTP/1.1 202 Accepted\r\nContent-Length: 0\r\n\r\n"


@asynccontextmanager
async def upstream_of(
    server: RawServer,
    headers: dict[str, str] | None = None,
    transport: Transport = Transport.AUTO,
    limits: HttpLimits | None = None,
) -> AsyncIterator[HttpUpstream]:
    upstream = HttpUpstream(
        http_server(server.url, headers, transport=transport),
        Egress(True),
        limits or HttpLimits(),
        gateway_itself(),
    )
    try:
        yield upstream
    finally:
        await upstream.close(0)


async def call(upstream: HttpUpstream, text: str = "hi", **meta: bytes) -> Reply:
    permit = permit_for(upstream.server, "echo", {"text": text}, meta=meta)
    return await upstream.forward(permit, CALLER, unheard)


def text_of(reply: Reply) -> str:
    assert isinstance(reply, Result), reply
    return str(json.loads(reply.raw)["content"][0]["text"])


async def echo(request: Request, out: asyncio.StreamWriter) -> None:
    if request.method == "tools/call":
        out.write(text_result(request, request.message["params"]["arguments"]["text"]))
    elif request.method == "tools/list":
        out.write(
            result(request, {"tools": [{"name": "echo"}], "cursor": request.message["params"].get("cursor")})
        )
    else:
        out.write(ACCEPTED)


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.005)


# --- the two eras -----------------------------------------------------------------------------------------


async def test_a_modern_server_is_greeted_once_and_called_without_a_session() -> None:
    async with RawServer(Peer(echo, "modern")) as server, upstream_of(server) as upstream:
        assert upstream.status().state is State.IDLE
        greeting = await upstream.greet()
        assert (greeting.era, greeting.version, greeting.instructions) == (
            Era.MODERN,
            "2026-07-28",
            "be kind",
        )
        assert text_of(await call(upstream, "one")) == "one"
        assert text_of(await call(upstream, "zwei\n\u20ac")) == "zwei\n\u20ac"
        assert server.methods() == ["server/discover", "tools/call", "tools/call"]
        request = server.requests[1]
        assert request.line == "POST /mcp HTTP/1.1"
        assert request.headers["mcp-protocol-version"] == "2026-07-28"
        assert request.headers["mcp-method"] == "tools/call"
        assert request.headers["mcp-name"] == "echo"
        meta = request.message["params"]["_meta"]
        assert meta["io.modelcontextprotocol/protocolVersion"] == "2026-07-28"
        assert upstream.status().state is State.READY
        assert server.connections == 1


async def test_a_legacy_server_gets_a_handshake_and_its_session() -> None:
    async with RawServer(Peer(echo)) as server, upstream_of(server) as upstream:
        greeting = await upstream.greet()
        assert (greeting.era, greeting.version) == (Era.LEGACY, "2025-11-25")
        assert text_of(await call(upstream)) == "hi"
        assert server.methods() == [
            "server/discover",
            "initialize",
            "notifications/initialized",
            "tools/call",
        ]
        assert "mcp-session-id" not in server.requests[1].headers
        for request in server.requests[2:]:
            assert request.headers["mcp-session-id"] == "s-1"
            assert request.headers["mcp-protocol-version"] == "2025-11-25"
            assert "mcp-method" not in request.headers
        assert "_meta" not in server.requests[3].message["params"]


async def test_headers_are_ours_and_the_credential_is_there() -> None:
    headers = {
        "Authorization": "Bearer material-1234",
        "X-Team": "blue",
        "X-Empty": "",
        "Content-Type": "text/plain",
        "Content-Length": "3",
        "Transfer-Encoding": "chunked",
        "Mcp-Session-Id": "stolen",
        "accept": "text/html",
    }
    async with RawServer(Peer(echo, "modern")) as server, upstream_of(server, headers) as upstream:
        await call(upstream)
        for request in server.requests:
            names = set(request.headers)
            assert names == {
                "host",
                "user-agent",
                "accept-encoding",
                "content-type",
                "accept",
                "content-length",
                "authorization",
                "x-team",
                "x-empty",
                "mcp-protocol-version",
                "mcp-method",
            } | ({"mcp-name"} if request.method == "tools/call" else set())
            assert request.headers["authorization"] == "Bearer material-1234"
            assert request.headers["content-type"] == "application/json"
            assert request.headers["accept"] == "application/json, text/event-stream"
            assert request.headers["accept-encoding"] == "identity"
            assert request.headers["host"] == f"127.0.0.1:{server.port}"


@pytest.mark.parametrize(
    "refusal",
    [
        b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 400 Bad Request\r\nContent-Type: text/html\r\nContent-Length: 4\r\n\r\n<p/>",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n\r\nok",
        b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
        ACCEPTED,
        STREAM + b"0\r\n\r\n",
    ],
)
async def test_what_is_no_sign_of_a_modern_server_leads_to_a_handshake(refusal: bytes) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            out.write(refusal)
        else:
            await Peer(echo)(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.LEGACY


@pytest.mark.parametrize("code", [-32601, -32600, -32602, -32000])
async def test_an_error_to_discover_leads_to_a_handshake(code: int) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            out.write(fault(request, code, "what?"))
        else:
            await Peer(echo)(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.LEGACY


def unsupported(request: Request, *supported: str) -> bytes:
    data = {"supported": list(supported), "requested": "2026-07-28"}
    error = {"code": -32022, "message": "Unsupported protocol version", "data": data}
    return plain(message({"jsonrpc": "2.0", "id": request.id, "error": error}), status="400 Bad Request")


async def test_a_version_refused_is_tried_once_more_where_we_share_one() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if len(server.sent("server/discover")) == 1:
            out.write(unsupported(request, "2027-01-01", "2026-07-28"))
        else:
            await Peer(echo, "modern")(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.MODERN
        assert server.methods() == ["server/discover", "server/discover"]


async def test_a_version_refused_in_favour_of_a_legacy_one_leads_to_a_handshake() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            out.write(unsupported(request, "2025-11-25"))
        else:
            await Peer(echo)(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.LEGACY


async def test_a_server_that_shares_no_version_is_said_to() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(unsupported(request, "2099-01-01"))

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamBadReply, match="weather speaks no version"):
            await upstream.greet()
        assert server.methods() == ["server/discover"]


async def test_a_discovery_without_a_modern_version_leads_to_a_handshake() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            out.write(result(request, {"supportedVersions": ["2025-11-25"], "capabilities": {}}))
        else:
            await Peer(echo)(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert (await upstream.greet()).era is Era.LEGACY


async def test_the_old_transport_is_recognised_and_named() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.line.startswith("GET"):
            out.write(STREAM + chunk(b"event: endpoint\ndata: /messages?id=1\n\n"))
        else:
            out.write(b"HTTP/1.1 405 Method Not Allowed\r\nContent-Length: 0\r\n\r\n")

    async with RawServer(answer) as server:
        async with upstream_of(server) as upstream:
            with pytest.raises(UpstreamUnreachable, match="old HTTP\\+SSE transport"):
                await upstream.greet()
        async with upstream_of(server, transport=Transport.HTTP) as upstream:
            with pytest.raises(UpstreamBadReply, match="answered 405"):
                await upstream.greet()
        asked = len(server.requests)
        async with upstream_of(server, transport=Transport.SSE) as upstream:
            with pytest.raises(UpstreamUnreachable, match="old HTTP\\+SSE transport"):
                await upstream.greet()
        assert len(server.requests) == asked


async def test_a_wrong_path_is_no_old_transport() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(plain(b"<html>", "text/html", "404 Not Found"))

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamBadReply, match="weather answered 404"):
            await upstream.greet()
        assert server.methods()[:2] == ["server/discover", "initialize"]


async def test_a_slow_handshake_is_a_timeout() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with (
        RawServer(answer) as server,
        upstream_of(server, limits=HttpLimits(connect=0.1)) as upstream,
    ):
        with pytest.raises(UpstreamTimeout, match=r"within 0\.1 seconds"):
            await upstream.greet()
        assert upstream.status().state is State.FAILING
        assert "within 0.1 seconds" in upstream.status().last_error
        assert server.methods() == ["server/discover", "initialize"]


async def test_many_first_calls_share_one_handshake() -> None:
    async with RawServer(Peer(echo)) as server, upstream_of(server) as upstream:
        replies = await asyncio.gather(*[call(upstream, f"nonce {n}") for n in range(64)])
        assert [text_of(reply) for reply in replies] == [f"nonce {n}" for n in range(64)]
        assert server.methods().count("initialize") == 1
        ids = [request.id for request in server.requests if request.id is not None]
        assert len(set(ids)) == len(ids)


async def test_one_who_gives_up_during_the_handshake_does_not_disturb_the_others() -> None:
    gate = asyncio.Event()

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        await gate.wait()
        await Peer(echo, "modern")(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        first = asyncio.create_task(call(upstream, "first"))
        second = asyncio.create_task(call(upstream, "second"))
        await until(lambda: len(server.requests) == 1)
        first.cancel()
        await asyncio.gather(first, return_exceptions=True)
        gate.set()
        assert text_of(await second) == "second"
        assert server.methods() == ["server/discover", "tools/call"]


# --- asking -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["modern", "legacy"])
async def test_lists_are_asked_for_page_by_page(era: str) -> None:
    async with RawServer(Peer(echo, era)) as server, upstream_of(server) as upstream:
        first = await upstream.ask(Ask.TOOLS)
        second = await upstream.ask(Ask.TOOLS, "page \u20ac")
        assert isinstance(first, Result)
        assert isinstance(second, Result)
        assert json.loads(first.raw) == {"tools": [{"name": "echo"}], "cursor": None}
        assert json.loads(second.raw)["cursor"] == "page \u20ac"


async def test_our_own_request_is_sent_again_on_a_stale_connection_and_a_callers_is_not() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        mine = [r for r in server.requests if r.connection == request.connection]
        if request.method in ("tools/list", "tools/call") and len(mine) > 1:
            out.close()
        else:
            await Peer(echo, "modern")(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert isinstance(await upstream.ask(Ask.TOOLS), Result)
        assert len(server.sent("tools/list")) == 2
        with pytest.raises(UpstreamLost) as caught:
            await call(upstream)
        assert caught.value.reached
        assert len(server.sent("tools/call")) == 1
        assert text_of(await call(upstream, "again")) == "again"


# --- a server that forgot us --------------------------------------------------------------------------------


def not_found(request: Request) -> bytes:
    return plain(b"", status="404 Not Found")


LOSSES: dict[str, Callable[[Request], bytes]] = {
    "404, empty": not_found,
    "404, html": lambda r: plain(b"<h1>", "text/html", "404 Not Found"),
    "404, error of nobody": lambda r: plain(
        message({"jsonrpc": "2.0", "id": None, "error": {"code": -32600, "message": "Session not found"}}),
        status="404 Not Found",
    ),
    "404, error of ours": lambda r: fault(r, -32001, "Session not found", "404 Not Found"),
    "400, error of nobody": lambda r: plain(
        message(
            {
                "jsonrpc": "2.0",
                "id": None,
                "error": {"code": -32000, "message": "Bad Request: No valid session ID provided"},
            }
        ),
        status="400 Bad Request",
    ),
    "400, error of ours": lambda r: fault(
        r, -32000, "Bad Request: No valid session ID provided", "400 Bad Request"
    ),
    "400, not initialized": lambda r: fault(
        r, -32000, "Bad Request: Server not initialized", "400 Bad Request"
    ),
}


@pytest.mark.parametrize("loss", LOSSES)
async def test_a_lost_session_is_opened_anew_and_the_call_sent_again(loss: str) -> None:
    peer = Peer(echo)

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "tools/call" and request.headers["mcp-session-id"] != "s-2":
            out.write(LOSSES[loss](request))
        else:
            await peer(request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        replies = await asyncio.gather(*[call(upstream, f"nonce {n}") for n in range(20)])
        assert [text_of(reply) for reply in replies] == [f"nonce {n}" for n in range(20)]
        assert server.methods().count("initialize") == 2
        assert upstream.status().state is State.READY


async def test_a_session_that_is_lost_twice_is_a_failure() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(not_found(request))

    async with RawServer(Peer(answer)) as server, upstream_of(server) as upstream:
        with pytest.raises(UpstreamBadReply, match="weather answered 404") as caught:
            await call(upstream)
        assert not caught.value.reached
        assert len(server.sent("tools/call")) == 2
        assert len(server.sent("initialize")) == 2


@pytest.mark.parametrize("change", [("modern", "legacy"), ("legacy", "modern")])
async def test_a_server_that_changed_its_era_is_greeted_anew(change: tuple[str, str]) -> None:
    peers = {"modern": Peer(echo, "modern"), "legacy": Peer(echo, "legacy")}
    now = [change[0]]

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        modern = "mcp-method" in request.headers
        if request.method == "tools/call" and now[0] == "legacy" and modern:
            out.write(fault(request, -32600, "Bad Request: Missing session ID", "400 Bad Request"))
        elif request.method == "tools/call" and now[0] == "modern" and not modern:
            out.write(not_found(request))
        else:
            await peers[now[0]](request, out)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream, "before")) == "before"
        assert (await upstream.greet()).era.value == change[0]
        now[0] = change[1]
        assert text_of(await call(upstream, "after")) == "after"
        assert (await upstream.greet()).era.value == change[1]
        assert len(server.sent("tools/call")) == 3


async def test_a_version_refused_in_the_middle_is_negotiated_anew() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if len(server.sent("tools/call")) == 1:
            out.write(unsupported(request, "2026-07-28"))
        else:
            await echo(request, out)

    async with RawServer(Peer(answer, "modern")) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "hi"
        assert len(server.sent("server/discover")) == 2


# --- streams ------------------------------------------------------------------------------------------------


def progress(request: Request, done: int, token: object = None) -> bytes:
    ours = request.message["params"]["_meta"]["progressToken"] if token is None else token
    params = {"progressToken": ours, "progress": done}
    return event({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})


def final(request: Request, text: str = "done") -> bytes:
    value = {"content": [{"type": "text", "text": text}]}
    return event({"jsonrpc": "2.0", "id": request.id, "result": value})


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("token", [b'"of the caller"', b"1", b"-7"])
async def test_progress_comes_back_under_the_callers_own_token(era: str, token: bytes) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        assert request.message["params"]["_meta"]["progressToken"] == request.id
        out.write(STREAM + chunk(progress(request, 1)) + chunk(progress(request, 9, token="another's")))
        out.write(chunk(event({"jsonrpc": "2.0", "method": "notifications/message", "params": {"data": 1}})))
        out.write(chunk(event({"jsonrpc": "2.0", "method": "notifications/x/y", "params": {}})))
        out.write(chunk(event({"jsonrpc": "2.0", "method": "notifications/tools/list_changed"})))
        out.write(chunk(progress(request, 2)) + chunk(final(request)) + b"0\r\n\r\n")

    heard: list[Notice] = []
    async with RawServer(Peer(answer, era)) as server, upstream_of(server) as upstream:
        permit = permit_for(upstream.server, meta={"progressToken": token, "vendor/key": b"[1.0]"})
        for _ in range(2):
            heard.clear()
            assert text_of(await upstream.forward(permit, CALLER, heard.append)) == "done"
            assert heard == [
                Notice("notifications/progress", b'{"progressToken":%b,"progress":1}' % token),
                Notice("notifications/message", b'{"data": 1}'),
                Notice("notifications/x/y", b"{}"),
                Notice("notifications/progress", b'{"progressToken":%b,"progress":2}' % token),
            ]
        assert server.connections == 1
        assert b'"vendor/key":[1.0]' in server.requests[-1].body


async def test_progress_that_nobody_asked_for_is_dropped() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        assert "_meta" not in request.message["params"]
        out.write(STREAM + chunk(progress(request, 1, token=request.id) + final(request)) + b"0\r\n\r\n")

    async with RawServer(Peer(answer)) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "done"


@pytest.mark.parametrize("size", [1, 2, 3, 7, 64])
async def test_a_stream_may_come_in_any_pieces_and_line_ends(size: int) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        whole = b"\xef\xbb\xbf: hello\r\nid: 1\r\ndata:\r\n\r\nevent: ping\rdata: {}\r\r"
        whole += final(request, "gr\u00fc\u00df \u20ac").replace(b', "', b',\ndata: "')
        out.write(STREAM)
        for start in range(0, len(whole), size):
            out.write(chunk(whole[start : start + size]))
            if size > 3:
                await out.drain()
                await asyncio.sleep(0)
        out.write(b"0\r\n\r\n")

    async with RawServer(Peer(answer)) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "gr\u00fc\u00df \u20ac"


async def test_requests_of_a_legacy_server_are_answered_and_never_reach_the_caller() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method != "tools/call":
            out.write(ACCEPTED)
            return
        out.write(STREAM)
        for id, method in (("a", "sampling/createMessage"), (7, "ping"), ("b", "elicitation/create")):
            out.write(chunk(event({"jsonrpc": "2.0", "id": id, "method": method, "params": {}})))
        out.write(chunk(event({"jsonrpc": "2.0", "id": "x" * 500, "method": "ping"})))
        await out.drain()
        await until(lambda: len(server.requests) == 7)
        out.write(chunk(final(request)) + b"0\r\n\r\n")

    async with RawServer(Peer(answer)) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "done"
        answers = [json.loads(request.body) for request in server.requests[4:]]
        refusal = {"code": -32601, "message": "Method not found"}
        assert sorted(answers, key=str) == sorted(
            [
                {"jsonrpc": "2.0", "id": "a", "error": refusal},
                {"jsonrpc": "2.0", "id": 7, "result": {}},
                {"jsonrpc": "2.0", "id": "b", "error": refusal},
            ],
            key=str,
        )
        assert all(request.headers["mcp-session-id"] == "s-1" for request in server.requests[4:])


async def test_requests_of_a_modern_server_are_ignored() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        asked = event({"jsonrpc": "2.0", "id": 1, "method": "sampling/createMessage", "params": {}})
        out.write(STREAM + chunk(asked + final(request)) + b"0\r\n\r\n")

    async with RawServer(Peer(answer, "modern")) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream)) == "done"
        assert server.methods() == ["server/discover", "tools/call"]


async def test_a_stream_that_stays_open_after_the_answer_is_not_waited_for() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM + chunk(final(request)))
        await out.drain()
        await asyncio.sleep(60)

    limits = HttpLimits()
    async with RawServer(Peer(answer, "modern")) as server, upstream_of(server, limits=limits) as upstream:
        assert text_of(await call(upstream)) == "done"
        assert text_of(await call(upstream)) == "done"
        assert server.connections == 2


# --- cancelling ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("streaming", [False, True])
async def test_a_cancelled_call_closes_its_connection_and_a_legacy_server_is_told(
    era: str, streaming: bool
) -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.method != "tools/call":
            out.write(ACCEPTED)
        elif request.message["params"]["arguments"]["text"] == "slow":
            if streaming:
                out.write(STREAM + chunk(b": working\n\n"))
                await out.drain()
            await asyncio.sleep(60)
        else:
            await echo(request, out)

    async with RawServer(Peer(answer, era)) as server, upstream_of(server) as upstream:
        assert text_of(await call(upstream, "quick")) == "quick"
        slow = asyncio.create_task(call(upstream, "slow"))
        await until(lambda: len(server.sent("tools/call")) == 2)
        assert upstream.status().in_flight == 1
        slow.cancel()
        assert isinstance((await asyncio.gather(slow, return_exceptions=True))[0], asyncio.CancelledError)
        assert upstream.status().in_flight == 0
        assert text_of(await call(upstream, "after")) == "after"
        told = [request.message for request in server.sent("notifications/cancelled")]
        if era == "legacy":
            await until(lambda: len(server.sent("notifications/cancelled")) == 1)
            told = [request.message for request in server.sent("notifications/cancelled")]
            assert told[0]["params"] == {"requestId": server.sent("tools/call")[1].id}
        else:
            assert told == []
        assert server.sent("tools/call")[2].connection != server.sent("tools/call")[1].connection


async def test_a_deadline_outside_is_a_cancelled_call() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with RawServer(Peer(answer, "modern")) as server, upstream_of(server) as upstream:
        await upstream.greet()
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0.05):
                await call(upstream)
        assert len(server.sent("tools/call")) == 1


# --- many at once, and the end ------------------------------------------------------------------------------


@pytest.mark.parametrize("era", ["modern", "legacy"])
@pytest.mark.parametrize("size", [4, 256])
async def test_calls_at_once_each_get_their_own_answer(era: str, size: int) -> None:
    async def shuffled(request: Request, out: asyncio.StreamWriter) -> None:
        text = request.message["params"]["arguments"]["text"]
        number = int(text.split()[1])
        await asyncio.sleep(number % 7 / 1000)
        if number % 2:
            out.write(STREAM + chunk(final(request, text)) + b"0\r\n\r\n")
        else:
            out.write(text_result(request, text))

    limits = HttpLimits(pool=PoolLimits(size=size))
    async with RawServer(Peer(shuffled, era)) as server, upstream_of(server, limits=limits) as upstream:
        for start in range(0, 192, 64):
            texts = [f"nonce {n}" for n in range(start, start + 64)]
            replies = await asyncio.gather(*[call(upstream, text) for text in texts])
            assert [text_of(reply) for reply in replies] == texts
        assert server.connections <= size
        assert len(server.sent("tools/call")) == 192


async def test_closing_drains_ends_the_session_and_refuses_more() -> None:
    gate = asyncio.Event()

    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        if request.line.startswith("DELETE"):
            out.write(plain(b""))
            return
        await gate.wait()
        await echo(request, out)

    async with RawServer(Peer(answer)) as server, upstream_of(server) as upstream:
        under_way = asyncio.create_task(call(upstream, "last"))
        await until(lambda: len(server.sent("tools/call")) == 1)
        closing = asyncio.create_task(upstream.close(5))
        await asyncio.sleep(0)
        with pytest.raises(UpstreamUnreachable, match="letting go of weather"):
            await call(upstream, "too late")
        gate.set()
        assert text_of(await under_way) == "last"
        await closing
        assert server.requests[-1].line.startswith("DELETE /mcp")
        assert server.requests[-1].headers["mcp-session-id"] == "s-1"
        assert upstream.status().state is State.STOPPED
        await until(lambda: server.closed == server.connections)
        await upstream.close(5)


async def test_what_is_not_drained_in_time_is_lost() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with RawServer(Peer(answer, "modern")) as server, upstream_of(server) as upstream:
        under_way = asyncio.create_task(call(upstream))
        await until(lambda: len(server.sent("tools/call")) == 1)
        await upstream.close(0.01)
        with pytest.raises(UpstreamLost) as caught:
            await under_way
        assert caught.value.reached
        assert upstream.status().state is State.STOPPED


async def test_closing_during_the_handshake_releases_who_waits() -> None:
    async def answer(request: Request, out: asyncio.StreamWriter) -> None:
        await asyncio.sleep(60)

    async with RawServer(answer) as server, upstream_of(server) as upstream:
        under_way = asyncio.create_task(call(upstream))
        await until(lambda: len(server.requests) == 1)
        await upstream.close(0.01)
        with pytest.raises(UpstreamUnreachable):
            await under_way


async def test_an_upstream_that_was_never_used_closes() -> None:
    upstream = HttpUpstream(
        http_server("http://127.0.0.1:9/mcp"), Egress(True), HttpLimits(), gateway_itself()
    )
    await upstream.close(1)
    assert upstream.status().state is State.STOPPED


# --- what cannot be used ------------------------------------------------------------------------------------


@pytest.mark.parametrize("value", ["a\r\nX: y", "a\n", " a", "a ", "\u20ac", "a\x00b", "x" * 8193])
async def test_a_header_that_cannot_be_sent_is_named_and_not_shown(value: str) -> None:
    async with RawServer(Peer(echo)) as server:
        async with upstream_of(server, {"X-Key": "fine"}) as upstream:
            assert text_of(await call(upstream)) == "hi"
        before = len(server.requests)
        async with upstream_of(server, {"X-Key": value}) as upstream:
            with pytest.raises(
                UpstreamForbidden, match="a header X-Key whose value cannot be sent"
            ) as caught:
                await call(upstream)
            assert value.strip("a ") == "" or value not in caught.value.message
        async with upstream_of(server, {"X Key": "fine"}) as upstream:
            with pytest.raises(UpstreamForbidden, match="no header name"):
                await call(upstream)
        assert len(server.requests) == before


async def test_a_private_address_is_refused_before_anything_is_sent() -> None:
    upstream = HttpUpstream(
        http_server("http://10.255.255.1/mcp"), Egress(True), HttpLimits(), gateway_itself()
    )
    with pytest.raises(UpstreamForbidden):
        await upstream.greet()
    assert "--allow-private 10.0.0.0/8" in upstream.status().last_error
    await upstream.close(0)
