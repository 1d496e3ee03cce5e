"""An MCP server over HTTP in a thread of the test, which counts what reaches it and does what the test says."""

from __future__ import annotations

import json
import select
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

PATIENCE = 20.0
MODERN = "2026-07-28"
OBJECT = {"type": "object"}
FORWARDED = frozenset({"tools/call", "prompts/get", "resources/read", "completion/complete"})


@dataclass(frozen=True)
class Asked:
    """One message that reached the server. `raw` is the body as sent."""

    method: str
    headers: dict[str, str]
    message: dict[str, Any]
    raw: bytes

    @property
    def name(self) -> str:
        """The tool or prompt that it names."""
        return str(self.message.get("params", {}).get("name", ""))


@dataclass
class Peer:
    """What the server offers and what it saw.

    `tools` maps names to what each does with its exchange; a tool returns a result, or None if it wrote the
    answer itself. `extra` are further entries of the list of tools; one of the name of a tool of `tools` stands
    for it there. `broken` makes every request fail with 500;
    `good` are the Authorization headers that it takes, empty: any; `refusal` is what it says to others;
    `held` keeps calls of `hang` waiting.
    """

    era: str = "dual"
    tools: dict[str, Callable[[Exchange], dict[str, Any] | None]] = field(default_factory=dict)
    extra: list[dict[str, Any]] = field(default_factory=list)
    instructions: str = "Use echo.\n\n  Twice. \u00e9"
    broken: bool = False
    good: set[str] = field(default_factory=set)
    refusal: str = "bad credentials"
    port: int = 0
    asked: list[Asked] = field(default_factory=list)
    release: threading.Event = field(default_factory=threading.Event)
    hanging: int = 0
    news: threading.Condition = field(default_factory=threading.Condition)

    @property
    def url(self) -> str:
        """Where the server is."""
        return f"http://127.0.0.1:{self.port}/mcp"

    @property
    def forwarded(self) -> list[Asked]:
        """The requests of callers: what the gateway asks for itself is left out."""
        return [one for one in list(self.asked) if one.method in FORWARDED]

    def count(self, method: str) -> int:
        """Return how many messages of this method came."""
        return sum(one.method == method for one in list(self.asked))

    def until(self, true: Callable[[], bool]) -> None:
        """Wait until something is so."""
        with self.news:
            assert self.news.wait_for(true, PATIENCE), "what was waited for did not happen"

    def tell(self) -> None:
        """Let those who wait look again."""
        with self.news:
            self.news.notify_all()

    def declared(self) -> dict[str, Any]:
        """Return this server as an entry of `mcpServers`."""
        return {"url": self.url}


def text(value: str) -> dict[str, Any]:
    """Return a tool's result of one text."""
    return {"content": [{"type": "text", "text": value}]}


class Exchange(BaseHTTPRequestHandler):
    """One HTTP request to the peer; tools may write the answer themselves."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1
    peer: Peer
    message: dict[str, Any]

    @property
    def params(self) -> dict[str, Any]:
        """The params of the message."""
        found: dict[str, Any] = self.message.get("params", {})
        return found

    @property
    def arguments(self) -> dict[str, Any]:
        """The arguments of the call."""
        found: dict[str, Any] = self.params.get("arguments", {})
        return found

    # --- answering ---

    def answer(self, status: int, body: bytes, media: str = "application/json", **headers: str) -> None:
        """Send one whole answer."""
        self.send_response(status)
        self.send_header("Content-Type", media)
        self.send_header("Content-Length", str(len(body)))
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        self.wfile.write(body)

    def result(self, value: dict[str, Any]) -> None:
        """Answer with a result."""
        if self.message["params"].get("_meta", {}).get("io.modelcontextprotocol/protocolVersion"):
            value = {"resultType": "complete", **value}
        self.answer(200, self._envelope(result=value))

    def fault(self, code: int, words: str, status: int = 200) -> None:
        """Answer with a JSON-RPC error."""
        self.answer(status, self._envelope(error={"code": code, "message": words}))

    def stream(self) -> None:
        """Begin an event stream."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.send_header("Connection", "close")
        self.close_connection = True
        self.end_headers()

    def event(self, message: dict[str, Any]) -> None:
        """Send one event of a stream."""
        self.wfile.write(
            b"event: message\ndata: " + json.dumps({"jsonrpc": "2.0", **message}).encode() + b"\n\n"
        )
        self.wfile.flush()

    def _envelope(self, **answer: Any) -> bytes:
        return json.dumps({"jsonrpc": "2.0", "id": self.message["id"], **answer}).encode()

    def gone(self) -> bool:
        """Tell whether the gateway has closed this connection."""
        try:
            # No timeout of the socket's: it would be one of the writes that another thread is at, too.
            return bool(select.select([self.connection], [], [], 0.01)[0]) and not self.connection.recv(1)
        except (OSError, ValueError):
            return True

    # --- receiving ---

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers["Content-Length"]))
        self.message = json.loads(raw)
        method = self.message.get("method", "(reply)")
        headers = {name.lower(): value for name, value in self.headers.items()}
        with self.peer.news:
            self.peer.asked.append(Asked(method, headers, self.message, raw))
            self.peer.news.notify_all()
        if self.peer.broken:
            self.answer(500, b"<html>the disk is on fire</html>", "text/html")
        elif self.peer.good and headers.get("authorization") not in self.peer.good:
            said = {"error": {"message": f"{self.peer.refusal}: {headers.get('authorization', 'none')}"}}
            self.answer(401, json.dumps(said).encode())
        elif "id" not in self.message or "method" not in self.message:
            self.answer(202, b"")
        else:
            self.message.setdefault("params", {})
            self._serve(method)

    def _serve(self, method: str) -> None:
        modern = self.headers.get("MCP-Protocol-Version") == MODERN
        if modern and self.peer.era == "legacy":
            self.fault(-32000, "Bad Request: Server not initialized", 400)
        elif method == "tools/call":
            tool = self.peer.tools.get(self.params["name"]) or TOOLS.get(self.params["name"])
            if tool is None:
                self.fault(-32602, f"Unknown tool: {self.params['name']}")
            elif (value := tool(self)) is not None:
                self.result(value)
        elif (made := ANSWERS.get(method)) is not None:
            self.result(made(self))
        else:
            self.fault(-32601, "Method not found", 404 if modern else 200)

    def do_GET(self) -> None:
        self.answer(405, b"")

    def do_DELETE(self) -> None:
        self.answer(204, b"")

    def log_message(self, format: str, *args: Any) -> None:
        pass


# --- what it answers ---------------------------------------------------------------------------------------


def _initialize(exchange: Exchange) -> dict[str, Any]:
    return {
        "protocolVersion": "2025-11-25",
        "capabilities": CAPABILITIES,
        "serverInfo": {"name": "peer", "version": "1"},
        "instructions": exchange.peer.instructions,
    }


def _discover(exchange: Exchange) -> dict[str, Any]:
    return {
        "supportedVersions": [MODERN, "2025-11-25"],
        "capabilities": CAPABILITIES,
        "instructions": exchange.peer.instructions,
        "ttlMs": 0,
        "cacheScope": "private",
        "_meta": {"io.modelcontextprotocol/serverInfo": {"name": "peer", "version": "1"}},
    }


def _tools(exchange: Exchange) -> dict[str, Any]:
    given = [one.get("name") for one in exchange.peer.extra]
    names = [
        name
        for name in (*TOOLS, *exchange.peer.tools)
        if name not in exchange.peer.tools or name not in given
    ]
    tools = [{"name": name, "inputSchema": OBJECT, "x-vendor": {"kept": [1, 2.50]}} for name in names]
    return {"tools": tools + exchange.peer.extra}


def _prompts(_: Exchange) -> dict[str, Any]:
    return {"prompts": [{"name": "greet", "x-more": None}, {"name": "denied"}]}


def _resources(_: Exchange) -> dict[str, Any]:
    return {"resources": [{"uri": "peer://one", "name": "one", "x-more": True}]}


def _templates(_: Exchange) -> dict[str, Any]:
    return {"resourceTemplates": [{"uriTemplate": "peer://item/{id}", "name": "item"}]}


def _read(exchange: Exchange) -> dict[str, Any]:
    return {"contents": [{"uri": exchange.params["uri"], "text": "read", "x-extra": 1}], "x-more": [None]}


def _get(exchange: Exchange) -> dict[str, Any]:
    said = f"{exchange.params['name']} {json.dumps(exchange.arguments)}"
    return {"messages": [{"role": "user", "content": {"type": "text", "text": said}}], "x-more": 1}


def _complete(exchange: Exchange) -> dict[str, Any]:
    reference = exchange.params["ref"]
    return {"completion": {"values": [reference.get("name") or reference["uri"], "two"], "x-more": 1}}


def _hang(exchange: Exchange) -> dict[str, Any]:
    peer = exchange.peer
    with peer.news:
        peer.hanging += 1
        peer.news.notify_all()
    try:
        limit = time.monotonic() + PATIENCE
        while not peer.release.wait(0.01) and time.monotonic() < limit:
            if exchange.gone():
                raise ConnectionAbortedError
        return text("released")
    finally:
        with peer.news:
            peer.hanging -= 1
            peer.news.notify_all()


def _progress(exchange: Exchange) -> None:
    token = exchange.params.get("_meta", {}).get("progressToken")
    exchange.stream()
    for number in range(int(exchange.arguments.get("to", 3))):
        params = {"progressToken": token, "progress": number, "total": 3}
        exchange.event({"method": "notifications/progress", "params": params})
    if exchange.arguments.get("hang"):
        _hang(exchange)
    exchange.event({"id": exchange.message["id"], "result": {"resultType": "complete", **text("done")}})


def _leak(exchange: Exchange) -> dict[str, Any]:
    return text(json.dumps(dict(exchange.headers.items())))


def _big(exchange: Exchange) -> dict[str, Any]:
    return text("x" * int(exchange.arguments["bytes"]))


def _refuse(exchange: Exchange) -> None:
    exchange.fault(-32000, "no, and the server says why")


def _html(exchange: Exchange) -> None:
    exchange.answer(500, b"<html>secret stack trace</html>", "text/html")


CAPABILITIES = {
    "tools": {"listChanged": True},
    "prompts": {},
    "resources": {"subscribe": True},
    "completions": {},
}
ANSWERS: dict[str, Callable[[Exchange], dict[str, Any]]] = {
    "initialize": _initialize,
    "server/discover": _discover,
    "ping": lambda _: {},
    "tools/list": _tools,
    "prompts/list": _prompts,
    "resources/list": _resources,
    "resources/templates/list": _templates,
    "resources/read": _read,
    "prompts/get": _get,
    "completion/complete": _complete,
}
TOOLS: dict[str, Callable[[Exchange], dict[str, Any] | None]] = {
    "echo": lambda exchange: {**text(json.dumps(exchange.arguments)), "x-kept": {"big": 2**70}},
    "allowed": lambda exchange: text(json.dumps(exchange.arguments)),
    "denied": lambda _: text("this must never be seen"),
    "hang": _hang,
    "progress": _progress,
    "leak": _leak,
    "big": _big,
    "tool_error": lambda _: {**text("it went wrong"), "isError": True},
    "rpc_error": _refuse,
    "html_error": _html,
}


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    block_on_close = False

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when the gateway hangs up: tests make it do so."""


@contextmanager
def peer_serving(**settings: Any) -> Iterator[Peer]:
    """Run a peer while the block lasts."""
    peer = Peer(**settings)
    server = _Server(("127.0.0.1", peer.port), type("PeerExchange", (Exchange,), {"peer": peer}))
    peer.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield peer
    finally:
        peer.release.set()
        server.shutdown()
        thread.join()
        server.server_close()
