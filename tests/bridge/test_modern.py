"""Modern clients: headers made from the body, tools that want more of them, cancelling and listening."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from bridge.conversation import META, conversation, until
from bridge.scripted import OPEN_STREAM, answer_of, breaking, framed, free_headers, scripted
from upstream.raw_servers import Request, fault, result, text_result

REGION = {"type": "string", "x-mcp-header": "Region"}
TAGGED = {"name": "tagged", "inputSchema": {"type": "object", "properties": {"region": REGION, "deep": {"type": "object", "properties": {"n": {"type": "integer", "x-mcp-header": "N"}}}}}}  # fmt: skip
BROKEN = {"name": "broken", "inputSchema": {"properties": {"a": {"type": "number", "x-mcp-header": "A"}}}}
PLAIN = {"name": "plain", "inputSchema": {"type": "object"}}
ACK = {"jsonrpc": "2.0", "method": "notifications/subscriptions/acknowledged", "params": {"notifications": {"toolsListChanged": True, "promptsListChanged": False, "resourceSubscriptions": ["note://1"]}, "_meta": {"io.modelcontextprotocol/subscriptionId": 1}}}  # fmt: skip
CHANGED: dict[str, Any] = {"jsonrpc": "2.0", "method": "notifications/tools/list_changed", "params": {"_meta": {"io.modelcontextprotocol/subscriptionId": 1}}}  # fmt: skip


def listing(*tools: dict[str, Any], **more: Any) -> Any:
    async def step(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(result(request, {"resultType": "complete", "tools": list(tools), **more}))

    return step


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("server/discover", {}, None), ("tools/list", {}, None), ("tools/call", {"name": "a tool"}, "a tool"), ("prompts/get", {"name": "gr\u00fc\u00df"}, "=?base64?Z3LDvMOf?="),
        ("resources/read", {"uri": "note://1"}, "note://1"), ("tools/call", {"name": "a\r\nX-Evil: 1"}, "=?base64?YQ0KWC1FdmlsOiAx?="),
    ],
)  # fmt: skip
async def test_the_headers_say_what_the_body_says(
    method: str, params: dict[str, Any], name: str | None
) -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        assert (await talk.modern(method, params))["result"] == {}
        (request,) = gateway.server.requests
        expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": method}
        assert free_headers(request) == expected | ({"mcp-name": name} if name else {})
        assert request.message["params"] == {**params, "_meta": META}


async def test_the_version_is_the_one_of_the_request() -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": "2099-01-01"}
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.ask("tools/list", {"_meta": meta})
        assert gateway.server.requests[0].headers["mcp-protocol-version"] == "2099-01-01"


@pytest.mark.parametrize(("method", "version"), [("a\r\nX-Evil: 1", "2026-07-28"), ("t\u00f6\u00f6ls/list", "2026-07-28"), ("tools/list", "1\n2")])  # fmt: skip
async def test_what_no_header_can_carry_is_not_sent(method: str, version: str) -> None:
    meta = {**META, "io.modelcontextprotocol/protocolVersion": version}
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        assert "no header can carry" in (await talk.ask(method, {"_meta": meta}))["error"]["message"]
        assert gateway.server.requests == []


# --- headers of tools ---------------------------------------------------------------------------------------


async def test_arguments_that_a_tool_wants_in_headers_are_put_there() -> None:
    async with (
        scripted(tools_list=listing(TAGGED, PLAIN)) as gateway,
        conversation(gateway.server.url) as talk,
    ):
        assert len((await talk.modern("tools/list"))["result"]["tools"]) == 2
        await talk.modern(
            "tools/call", {"name": "tagged", "arguments": {"region": "\u4e16", "deep": {"n": 42.0}}}
        )
        await talk.modern("tools/call", {"name": "tagged", "arguments": {"region": None}})
        await talk.modern("tools/call", {"name": "tagged"})
        await talk.modern("tools/call", {"name": "plain", "arguments": {"region": "x"}})
        sent = [
            {name: value for name, value in request.headers.items() if name.startswith("mcp-param-")}
            for request in gateway.server.sent("tools/call")
        ]
        assert sent == [{"mcp-param-region": "=?base64?5LiW?=", "mcp-param-n": "42"}, {}, {}, {}]


async def test_a_tool_with_an_invalid_annotation_is_left_out_and_told() -> None:
    step = listing(PLAIN, BROKEN, ttlMs=5)
    async with scripted(tools_list=step) as gateway, conversation(gateway.server.url) as talk:
        for _ in range(2):
            answer = await talk.modern("tools/list", id="x")
            assert answer == {"jsonrpc": "2.0", "id": "x", "result": {"resultType": "complete", "tools": [PLAIN], "ttlMs": 5}}  # fmt: skip
        assert ["'broken' is left out" in line for line in talk.printed] == [True]


async def test_a_refused_call_of_a_tool_never_listed_is_made_again_with_its_headers() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        if "mcp-param-region" in request.headers:
            out.write(text_result(request, request.headers["mcp-param-region"]))
        else:
            out.write(fault(request, -32020, "The header Mcp-Param-Region is missing", "400 Bad Request"))

    async def pages(request: Request, out: asyncio.StreamWriter) -> None:
        cursor = request.message["params"].get("cursor")
        more = {} if cursor else {"nextCursor": "two"}
        out.write(result(request, {"resultType": "complete", "tools": [TAGGED if cursor else PLAIN], **more}))

    async with (
        scripted(tools_call=call, tools_list=pages) as gateway,
        conversation(gateway.server.url) as talk,
    ):
        answer = await talk.modern("tools/call", {"name": "tagged", "arguments": {"region": "eu"}}, id=4)
        assert (answer["id"], answer["result"]["content"][0]["text"]) == (4, "eu")
        assert gateway.server.methods() == ["tools/call", "tools/list", "tools/list", "tools/call"]


async def test_a_refusal_that_no_list_mends_is_relayed() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(fault(request, -32020, "The headers are wrong", "400 Bad Request"))

    steps = {"tools_call": call, "tools_list": listing(PLAIN)}
    async with scripted(**steps) as gateway, conversation(gateway.server.url) as talk:
        answer = await talk.modern("tools/call", {"name": "plain"})
        assert answer["error"] == {"code": -32020, "message": "The headers are wrong"}
        assert gateway.server.methods() == ["tools/call", "tools/list"]


# --- cancelling -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("streams", [False, True])
async def test_cancelling_closes_the_connection_of_that_request_alone(streams: bool) -> None:
    note = {"jsonrpc": "2.0", "method": "notifications/progress", "params": {"progress": 1}}
    ended: list[Any] = []

    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        if request.id == "stays":
            await until(lambda: ended)
            out.write(text_result(request, "done"))
            return
        if streams:
            out.write(OPEN_STREAM + framed(note))
            await out.drain()
        protocol: Any = out.transport.get_protocol()
        await until(protocol._stream_reader.at_eof)
        ended.append(request.id)

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        await talk.say({"id": "goes", "method": "tools/call", "params": {"name": "x", "_meta": META}})
        await until(lambda: gateway.server.requests)
        if streams:
            assert await talk.hear() == note
        await talk.say({"id": "stays", "method": "tools/call", "params": {"name": "x", "_meta": META}})
        await talk.say({"method": "notifications/cancelled", "params": {"requestId": "goes"}})
        assert (await talk.hear())["id"] == "stays"
        assert ended == ["goes"]
        assert gateway.server.methods() == ["tools/call", "tools/call"]  # no cancellation is posted


async def test_a_modern_server_asks_nothing_of_a_client() -> None:
    async def call(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed({"jsonrpc": "2.0", "id": 1, "method": "roots/list"}))
        out.write(answer_of(request, {"resultType": "complete"}))
        out.close()

    async with scripted(tools_call=call) as gateway, conversation(gateway.server.url) as talk:
        assert "result" in await talk.modern("tools/call", {"name": "x"})
        await talk.say({"id": 1, "result": {}})
        await talk.modern("tools/list")
        assert gateway.server.methods() == ["tools/call", "tools/list"]


async def test_another_notification_is_posted_with_its_headers() -> None:
    async with scripted() as gateway, conversation(gateway.server.url) as talk:
        await talk.modern("tools/list")
        await talk.say({"method": "notifications/vendor", "params": {"x": 1}})
        await until(lambda: len(gateway.server.requests) == 2)
        expected = {"mcp-protocol-version": "2026-07-28", "mcp-method": "notifications/vendor"}
        assert free_headers(gateway.server.requests[1]) == expected


# --- broken streams ---------------------------------------------------------------------------------------------


async def test_a_call_is_never_made_twice_and_a_list_may_be() -> None:
    async with scripted(tools_call=breaking) as gateway, conversation(gateway.server.url) as talk:
        answer = await talk.modern("tools/call", {"name": "x"})
        assert answer["error"]["data"]["code"] == "gateway_lost"
        assert len(gateway.server.requests) == 1
        tries: list[int] = []

        async def second(request: Request, out: asyncio.StreamWriter) -> None:
            tries.append(1)
            if len(tries) == 1:
                out.write(OPEN_STREAM)
                out.close()
            else:
                out.write(result(request, {}))

        gateway.steps["server/discover"] = second
        assert (await talk.modern("server/discover"))["result"] == {}


async def test_listening_goes_on_after_a_break_and_tells_what_may_have_been_missed() -> None:
    async def listen(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(ACK) + framed(CHANGED))
        await out.drain()
        if len(gateway.server.requests) < 2:
            out.close()
        else:
            await asyncio.sleep(60)

    async with scripted(subscriptions_listen=listen) as gateway, conversation(gateway.server.url) as talk:
        await talk.say(
            {"id": 1, "method": "subscriptions/listen", "params": {"notifications": {}, "_meta": META}}
        )
        assert await talk.hear_all(2) == [ACK, CHANGED]
        again = await talk.hear_all(3)
        assert again[0] == CHANGED
        assert again[1]["method"] == "notifications/resources/updated"
        assert again[1]["params"] == {"uri": "note://1", **CHANGED["params"]}
        assert again[2] == CHANGED
        first, second = gateway.server.requests
        assert first.body == second.body
        await talk.say({"method": "notifications/cancelled", "params": {"requestId": 1}})
        await talk.modern("tools/list")
        assert len(gateway.server.sent("subscriptions/listen")) == 2


async def test_a_listen_that_the_gateway_ends_is_answered() -> None:
    async def listen(request: Request, out: asyncio.StreamWriter) -> None:
        out.write(OPEN_STREAM + framed(ACK) + answer_of(request, {"resultType": "complete"}))
        out.close()

    async with scripted(subscriptions_listen=listen) as gateway, conversation(gateway.server.url) as talk:
        await talk.say({"id": 1, "method": "subscriptions/listen", "params": {"_meta": META}})
        assert await talk.hear_all(2) == [
            ACK,
            {"jsonrpc": "2.0", "id": 1, "result": {"resultType": "complete"}},
        ]
        assert len(gateway.server.requests) == 1
