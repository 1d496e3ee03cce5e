"""Servers that mean harm, and the scene of an attack: they, a good server, an attacker and a good caller."""

from __future__ import annotations

import json
import re
import socket
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

from gateway import new_grant
from journeys.peer import PATIENCE, Exchange, Peer, text
from journeys.running import Hall, Session, hall_at
from journeys.streams import Streamed, posted
from journeys.wire import Got, Wire, message
from upstream.raw_servers import Request

MIB = 1024 * 1024
CHILD = str(Path(__file__).parent / "children" / "hostile_peer.py")
OPEN = {"default": "allow", "rules": []}
CAPABILITIES: dict[str, Any] = {"tools": {"listChanged": True}, "logging": {}}
SLACK = 2
"""Sockets of a look at the counts that may still be closing."""


def sse(value: dict[str, Any], id: str = "") -> bytes:
    """Write one event."""
    head = f"id: {id}\n" if id else ""
    return f"{head}data: {json.dumps({'jsonrpc': '2.0', **value})}\n\n".encode()


class Raid(Exchange):
    """One request to a foe. What a test says comes first; else the answers are a good server's."""

    peer: Foe

    def do_GET(self) -> None:  # noqa: N802 - the name that http.server calls
        with self.peer.news:
            self.peer.gets.append({name.lower(): value for name, value in self.headers.items()})
            self.peer.news.notify_all()
        with suppress(OSError):
            self.hear()

    def hear(self) -> None:
        """Answer a GET."""
        if self.peer.hears is None:
            self.answer(405, b"")
        else:
            self.peer.hears(self)

    def _serve(self, method: str) -> None:
        made = self.peer.replies.get(method)
        with suppress(OSError):
            if made is not None:
                value = made(self)
                if value is not None:
                    self.result(value)
            elif method == "initialize":
                self.greet()
            else:
                super()._serve(method)

    def greet(self) -> None:
        """Answer `initialize` with a new session."""
        self.peer.opened += 1
        greeting = {
            "protocolVersion": "2025-11-25",
            "capabilities": CAPABILITIES,
            "serverInfo": {"name": "foe", "version": "1"},
        }
        session = {"Mcp_Session_Id": f"s-{self.peer.opened}"}
        self.answer(200, self._envelope(result=greeting), **session)

    def say(self, data: bytes) -> None:
        """Write bytes of a stream; never more than the gateway takes."""
        self.wfile.write(data)
        self.wfile.flush()

    def done(self) -> None:
        """Answer the call on its stream."""
        modern = (
            {"resultType": "complete"} if self.headers.get("MCP-Protocol-Version") == "2026-07-28" else {}
        )
        self.say(sse({"id": self.message["id"], "result": {**modern, **text("done")}}))

    def raw(self, hostile: Callable[[Request], bytes]) -> None:
        """Write exact bytes and hang up."""
        body = json.dumps(self.message).encode()
        self.wfile.write(hostile(Request(self.requestline, {}, body, 0)))
        self.close_connection = True

    def linger(self) -> None:
        """Keep the stream open until the gateway hangs up or the attack is over."""
        limit = time.monotonic() + PATIENCE
        while not self.peer.calm.wait(0.02) and time.monotonic() < limit and not self.gone():
            pass

    def flood(self, block: bytes) -> None:
        """Write the same bytes over and over, until the attack is over or the gateway hangs up."""
        limit = time.monotonic() + PATIENCE
        while not self.peer.calm.is_set() and time.monotonic() < limit:
            self.say(block)


class OldRaid(Raid):
    """The same over HTTP+SSE: what answers a message is said on the stream that named where to send it."""

    def hear(self) -> None:
        number = self.peer.take_voice(self)
        self.stream()
        self.wfile.write(b"event: endpoint\ndata: /messages?%d\n\n" % number)
        self.wfile.flush()
        limit = time.monotonic() + 3 * PATIENCE
        while not self.peer.release.wait(0.02) and time.monotonic() < limit and not self.gone():
            pass

    def do_POST(self) -> None:  # noqa: N802 - as above
        if self._voice() is None:
            self.rfile.read(int(self.headers["Content-Length"]))
            self.answer(405, b"")
            return
        self.posted = True
        super().do_POST()

    def _voice(self) -> OldRaid | None:
        path, _, number = self.path.partition("?")
        return self.peer.voices.get(number) if path == "/messages" else None

    def answer(self, status: int, body: bytes, media: str = "application/json", **headers: str) -> None:
        if self.command != "POST" or self._voice() is None or status == 202:
            super().answer(status, body, media, **headers)
        else:
            self._accept()
            self.say(b"data: " + body + b"\n\n")

    def stream(self) -> None:
        if self.command == "POST":
            self._accept()
        else:
            super().stream()

    def _accept(self) -> None:
        super().answer(202, b"")
        self.wfile.flush()

    def say(self, data: bytes) -> None:
        voice = self._voice()
        if voice is not None:
            with self.peer.speaking:
                voice.wfile.write(data)
                voice.wfile.flush()


@dataclass
class Foe(Peer):
    """A hostile server. `replies` take over methods, `hears` the GET streams; `calm` ends an attack."""

    opened: int = 0
    hears: Callable[[Raid], None] | None = None
    replies: dict[str, Callable[[Raid], dict[str, Any] | None]] = field(default_factory=dict)
    gets: list[dict[str, str]] = field(default_factory=list)
    calm: threading.Event = field(default_factory=threading.Event)
    voices: dict[str, OldRaid] = field(default_factory=dict)
    """The streams of HTTP+SSE, by the number in the address that each named."""
    speaking: threading.Lock = field(default_factory=threading.Lock)

    def take_voice(self, raid: OldRaid) -> int:
        """Take note of a stream and return its number."""
        with self.speaking:
            self.voices[str(len(self.voices))] = raid
            return len(self.voices) - 1

    def behave(self) -> None:
        """End every attack; from now on it is a server like any other."""
        self.hears = None
        self.replies.clear()
        self.calm.set()

    def attack(self, method: str = "tools/call", **made: Callable[[Raid], dict[str, Any] | None]) -> None:
        """Attack with what is made of a method."""
        self.calm.clear()
        self.replies[method] = made["by"]


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 512
    block_on_close = False

    def server_bind(self) -> None:
        """Keep what waits to be sent short, so that a flood is over soon after it ended."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 128 * 1024)
        super().server_bind()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing when the gateway hangs up."""


@contextmanager
def foe_serving(kind: type[Raid] = Raid, **settings: Any) -> Iterator[Foe]:
    """Run a hostile server while the block lasts."""
    foe = Foe(**settings)
    server = _Server(("127.0.0.1", 0), type("FoeExchange", (kind,), {"peer": foe}))
    foe.port = server.server_address[1]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True)
    thread.start()
    try:
        yield foe
    finally:
        foe.calm.set()
        foe.release.set()
        server.shutdown()
        thread.join()
        server.server_close()


# --- the scene ---------------------------------------------------------------------------------------------


@dataclass
class Counts:
    """What the gateway holds: its own gauges, its file descriptors and its children."""

    gauges: Mapping[str, float]
    fds: int
    children: int

    def exceeds(self, other: Counts, *, idle: bool) -> list[str]:
        """Return what is more than it was; `idle`: also of what is only let go of after a while."""
        names = ("calls_under_way", "sessions", "streams", "own_children")
        more = [name for name in names if self.gauges[name] > other.gauges[name]]
        more += ["children"] if self.children > other.children else []
        if idle:
            more += ["sessions_upstream"] if self.sessions_upstream > other.sessions_upstream else []
            more += ["fds"] if self.fds > other.fds + SLACK else []
        return more

    @property
    def sessions_upstream(self) -> float:
        """The sessions with servers."""
        return self.gauges["sessions_upstream"]


@dataclass
class Scene:
    """A gateway with the good server `srv` of `alice`, foes by name, and the grant of the attacker `mallory`."""

    hall: Hall
    foes: dict[str, Foe]
    evil: str
    turn: int = 0

    def good(self, times: int = 1) -> None:
        """Have the good caller call the good server in both eras: each answer is her own, byte for byte."""
        for _ in range(times):
            self.turn += 1
            told = {"turn": self.turn, "of": "alice"}
            modern = self.hall.ask("tools/call", {"name": "srv__echo", "arguments": told})
            assert (modern.status, json.loads(modern.text)) == (200, told), modern
        session = self.hall.session("/mcp/srv")
        got = session.ask("tools/call", {"name": "echo", "arguments": {"turn": self.turn}}, id=self.turn)
        assert (got.status, got.json()["id"], got.text) == (200, self.turn, f'{{"turn": {self.turn}}}'), got
        assert session.end().status == 204

    def call(self, server: str, tool: str, arguments: Mapping[str, Any] | None = None) -> Got:
        """Have the attacker call a tool."""
        return self.hall.ask("tools/call", self._params(server, tool, arguments), grant=self.evil)

    def begin(self, server: str, tool: str, arguments: Mapping[str, Any] | None = None) -> Wire:
        """Have the attacker begin a call, of which it wants to hear progress."""
        wire = Wire(self.hall.gateway.port)
        params = {**self._params(server, tool, arguments), "_meta": {"progressToken": "t", LEVEL: "debug"}}
        wire.send(self.hall.request("tools/call", params, grant=self.evil))
        return wire

    def _params(self, server: str, tool: str, arguments: Mapping[str, Any] | None) -> dict[str, Any]:
        return {"name": f"{server}__{tool}", "arguments": dict(arguments or {})}

    def session(self, server: str, grant: str | None = None, **capabilities: Any) -> CapableSession:
        """Open a legacy session with one server, the attacker's unless told otherwise."""
        return CapableSession(self.hall, f"/mcp/{server}", grant or self.evil, capabilities)

    # --- what is left ---

    def counts(self) -> Counts:
        """Count what the gateway holds now."""
        page = self.hall.gateway.request("GET", "/metrics", {}).body.decode()
        lines = [line.split() for line in page.splitlines() if line and not line.startswith("#")]
        gauges = {name.removeprefix("coatcheck_"): float(value) for name, value in lines if "{" not in name}
        fds = len(list(Path(f"/proc/{self.hall.gateway.pid}/fd").iterdir()))
        return Counts(gauges, fds, len(self.hall.gateway.children()))

    def settles(self, before: Counts, *, idle: bool = False) -> None:
        """Wait until nothing is held that was not held before."""
        limit = time.monotonic() + PATIENCE
        while more := (now := self.counts()).exceeds(before, idle=idle):
            assert time.monotonic() < limit, f"there are more {more}: {now}, before {before}"
            time.sleep(0.05)

    @property
    def memory(self) -> int:
        """The resident memory of the gateway in MiB."""
        lines = Path(f"/proc/{self.hall.gateway.pid}/status").read_text().splitlines()
        return next(int(line.split()[1]) // 1024 for line in lines if line.startswith("VmRSS"))


LEVEL = "io.modelcontextprotocol/logLevel"


class CapableSession(Session):
    """A legacy session whose client declares what it can be asked."""

    def __init__(self, hall: Hall, path: str, grant: str, capabilities: dict[str, Any]) -> None:
        self._capabilities = capabilities
        super().__init__(hall, path, grant, "2025-11-25")

    def post(self, body: bytes, **headers: str | bytes | None) -> Got:
        """Send one body in the session."""
        opening = json.loads(body)
        if opening.get("method") == "initialize":
            opening["params"]["capabilities"] = self._capabilities
            body = json.dumps(opening).encode()
        return super().post(body, **headers)

    def begin(self, tool: str, arguments: dict[str, Any] | None = None, id: int | str = 1) -> Streamed:
        """Send a call and leave its answer unread."""
        params = {"name": tool, "arguments": arguments or {}, "_meta": {"progressToken": "t"}}
        return posted(self, message("tools/call", params, id))


def _is_whole(parts: list[bytes]) -> bool:
    """Tell whether an answer is complete: looked for at its end only, since there may be a lot of it."""
    end = b"".join(parts[-2:])
    if end.endswith(b"0\r\n\r\n"):
        return True
    head, mark, body = b"".join(parts).partition(b"\r\n\r\n") if len(parts) < 400 else (b"", b"", b"")
    size = re.search(rb"content-length: (\d+)", head)
    return bool(mark) and size is not None and len(body) >= int(size[1])


class Reading(threading.Thread):
    """Reads the answer to a call meanwhile, as it comes."""

    def __init__(self, wire: Wire) -> None:
        super().__init__(daemon=True)
        self.wire = wire
        self.got = Got(0, {}, b"")
        self.start()

    def run(self) -> None:
        with suppress(OSError, ValueError):
            parts = [self.wire.socket.recv(65536)]
            while parts[-1] and not _is_whole(parts):
                parts.append(self.wire.socket.recv(65536))
            self.wire._buffer = b"".join(parts)
            self.got = self.wire.read()

    def end(self) -> Got:
        """Return the answer."""
        self.join(PATIENCE)
        assert not self.is_alive(), "the call does not end"
        self.wire.close()
        return self.got


@contextmanager
def scene_at(directory: Path, **settings: Any) -> Iterator[Scene]:
    """Set the scene: `foe` is legacy with sessions, `new` modern, `old` speaks HTTP+SSE, `child` is over stdio."""
    evil, key = new_grant()
    with (
        foe_serving(era="legacy") as foe,
        foe_serving(era="modern") as new,
        foe_serving(OldRaid, era="legacy") as old,
    ):
        servers = {
            "foe": foe.declared(),
            "new": new.declared(),
            "old": {"url": f"http://127.0.0.1:{old.port}/sse", "type": "sse"},
            "child": {"command": sys.executable, "args": [CHILD]},
        }
        declared = {"acl": OPEN, "mcpServers": servers, "tokens": {key: {"subject": "mallory"}}}
        with hall_at(directory, declared, **settings) as hall:
            yield Scene(hall, {"foe": foe, "new": new, "old": old}, evil)
