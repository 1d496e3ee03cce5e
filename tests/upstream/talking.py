"""A legacy server by script that talks: a stream to be heard by, questions, answers, sessions that it forgets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from coatcheck.model.access import OPEN, Nature
from coatcheck.model.call import Call, Kind, Notice, Reply, Result, Target
from coatcheck.model.decision import Permit
from coatcheck.model.grant import ANONYMOUS
from coatcheck.model.server import Server, Transport
from coatcheck.ports import Client, Notify
from coatcheck.upstream.http.hop.egress import Egress
from coatcheck.upstream.http.hop.limits import HttpLimits
from coatcheck.upstream.http.upstream import HttpUpstream
from doubles.bench import decide
from doubles.clients import ScriptedClient, gateway_itself
from upstream.permits import CALLER, http_server, unheard
from upstream.raw_servers import (  # fmt: skip
    DISCOVERED,
    INITIALIZED,
    STREAM,
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
NO_STREAM = b"HTTP/1.1 405 Method Not Allowed\r\nAllow: POST\r\nContent-Length: 0\r\n\r\n"
END = b"0\r\n\r\n"
Script = Callable[[Request, asyncio.StreamWriter], Awaitable[None]]


async def until(condition: Callable[[], object]) -> None:
    async with asyncio.timeout(10):
        while not condition():
            await asyncio.sleep(0.002)


def numbered(id: str, value: object = None, retry: int | None = None) -> bytes:
    """Return an event with an id; without a value, the empty one that opens a stream."""
    head = f"id: {id}\n" + ("" if retry is None else f"retry: {retry}\n")
    body = b"data:\n\n" if value is None else b"data: " + message(value) + b"\n\n"
    return head.encode() + body


def notice(method: str, **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "method": method, "params": params}


def asking(id: object, method: str = "elicitation/create", **params: object) -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": id, "method": method, "params": params}


def done(request: Request, text: str = "done") -> dict[str, object]:
    return {"jsonrpc": "2.0", "id": request.id, "result": {"content": [{"type": "text", "text": text}]}}


async def plain_call(request: Request, out: asyncio.StreamWriter) -> None:
    out.write(text_result(request, request.message["params"]["arguments"]["text"]))


async def hold(out: asyncio.StreamWriter) -> None:
    """Wait until the other side hangs up."""
    await out.drain()
    reader: asyncio.StreamReader = getattr(out, "_reader")  # noqa: B009 - it is the only one who knows
    while not reader.at_eof() and not out.is_closing():
        await asyncio.sleep(0.005)


@dataclass
class Talking:
    """`call` answers tools/call, `get` a GET; by default a stream is kept open, to be said things on."""

    call: Script = plain_call
    get: Script | None = None
    capabilities: dict[str, object] = field(default_factory=lambda: {"tools": {"listChanged": True}})
    sessions: list[str] = field(default_factory=list)
    forgotten: set[str] = field(default_factory=set)
    answers: dict[object, dict[str, Any]] = field(default_factory=dict)
    listening: list[asyncio.StreamWriter] = field(default_factory=list)

    async def __call__(self, request: Request, out: asyncio.StreamWriter) -> None:
        if request.headers.get("mcp-session-id") in self.forgotten:
            out.write(plain(b"", status="404 Not Found"))
        elif request.method == "GET":
            await (self.get or self.listen)(request, out)
        elif request.method == "tools/call":
            await self.call(request, out)
        elif request.method == "":
            self.answers[request.id] = request.message
            out.write(ACCEPTED)
        else:
            out.write(self.greet(request))

    def greet(self, request: Request) -> bytes:
        if request.method == "server/discover":
            return fault(request, -32000, "Bad Request: Server not initialized", "400 Bad Request")
        if request.method != "initialize":
            return (
                plain(b"")
                if request.method == "DELETE"
                else ACCEPTED
                if request.id is None
                else result(request, {})
            )
        self.sessions.append(f"s-{len(self.sessions) + 1}")
        version = request.message["params"]["protocolVersion"]
        value = {**INITIALIZED, "protocolVersion": version, "capabilities": self.capabilities}
        body = message({"jsonrpc": "2.0", "id": request.id, "result": value})
        return plain(body, "application/json", "200 OK", f"Mcp-Session-Id: {self.sessions[-1]}")

    async def listen(self, request: Request, out: asyncio.StreamWriter) -> None:
        """Keep the stream open until the other side hangs up or the server is stopped."""
        out.write(STREAM)
        self.listening.append(out)
        try:
            await hold(out)
        finally:
            self.listening.remove(out)

    async def say(self, value: object) -> None:
        """Say something on the newest stream."""
        await until(lambda: self.listening)
        self.listening[-1].write(chunk(event(value)))
        await self.listening[-1].drain()

    async def answer_to(self, id: object) -> dict[str, Any]:
        """Wait for the answer to a question."""
        await until(lambda: id in self.answers)
        return self.answers[id]


@dataclass
class TalkingModern:
    """A strictly modern server; `listen` answers `subscriptions/listen`, by default by acknowledging."""

    listen: Script | None = None
    call: Script = plain_call
    capabilities: dict[str, object] = field(
        default_factory=lambda: {
            "tools": {"listChanged": True},
            "prompts": {},
            "resources": {"listChanged": True},
        }
    )
    listening: list[tuple[Request, asyncio.StreamWriter]] = field(default_factory=list)

    async def __call__(self, request: Request, out: asyncio.StreamWriter) -> None:
        if request.method == "server/discover":
            out.write(
                result(
                    request,
                    {**DISCOVERED, "supportedVersions": ["2026-07-28"], "capabilities": self.capabilities},
                )
            )
        elif request.method == "subscriptions/listen":
            await (self.listen or self.acknowledge)(request, out)
        elif request.method == "tools/call":
            await self.call(request, out)
        else:
            out.write(fault(request, -32601, "Method not found", "404 Not Found"))

    async def acknowledge(self, request: Request, out: asyncio.StreamWriter) -> None:
        out.write(STREAM)
        self.listening.append((request, out))
        wanted = request.message["params"]["notifications"]
        await self.say("notifications/subscriptions/acknowledged", notifications=wanted)
        try:
            await hold(out)
        finally:
            self.listening.remove((request, out))

    async def say(self, method: str, **params: object) -> None:
        await until(lambda: self.listening)
        request, out = self.listening[-1]
        tagged = {**params, "_meta": {"io.modelcontextprotocol/subscriptionId": request.id}}
        out.write(chunk(event(notice(method, **tagged))))
        await out.drain()


@asynccontextmanager
async def upstream_of(
    server: RawServer,
    client: Client | None = None,
    limits: HttpLimits | None = None,
    transport: Transport = Transport.AUTO,
    headers: dict[str, str] | None = None,
) -> AsyncIterator[HttpUpstream]:
    record = http_server(server.url, headers, transport=transport)
    upstream = HttpUpstream(record, Egress(True), limits or HttpLimits(), client or gateway_itself())
    try:
        yield upstream
    finally:
        await upstream.close(0)


def text_of(reply: Reply) -> str:
    assert isinstance(reply, Result), reply
    return str(json.loads(reply.raw)["content"][0]["text"])


async def call(upstream: HttpUpstream, text: str = "hi", notify: Notify = unheard) -> Reply:
    wanted = permit(upstream.server, "tools/call", name="echo", arguments={"text": text})
    return await upstream.forward(wanted, CALLER, notify)


def told(client: ScriptedClient) -> list[str]:
    return [one.method for one in client.told]


def ignore(notice: Notice) -> None:
    return


def permit(server: Server, method: str, **params: object) -> Permit:
    """Return a permit for a call of any method, made by `decide`."""
    raw = {name: message(value) for name, value in params.items()}
    call = Call(b'"of the caller"', method, raw)
    decision = decide(call, Target(Kind.TOOL, "echo"), ANONYMOUS, server, OPEN, Nature.AMBIGUOUS)
    assert isinstance(decision, Permit)
    return decision
