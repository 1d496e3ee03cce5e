"""A real HTTP server on a real unix socket that gives canned answers: the far side of the commands."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from coatcheck import __version__


@dataclass
class Canned:
    """One answer: a JSON value, or raw bytes, or `lines` of JSON Lines.

    `length` claims another length than there is; `stall` says nothing until the server closes.
    """

    value: Any = None
    status: int = 200
    raw: bytes | None = None
    lines: list[Any] | None = None
    length: int | None = None
    stall: bool = False


@dataclass
class Asked:
    method: str
    path: str
    query: dict[str, str]
    body: bytes
    headers: dict[str, str] = field(default_factory=dict)

    def json(self) -> Any:
        return json.loads(self.body)


Answer = Canned | Callable[[Asked], Canned]


@dataclass
class FakeApi:
    """`answers` by "METHOD /path" below /api/v1; `asked` is what came in, in order."""

    answers: dict[str, Answer] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)
    closing: threading.Event = field(default_factory=threading.Event)

    def answer(self, asked: Asked) -> Canned:
        self.asked.append(asked)
        found = self.answers.get(f"{asked.method} {asked.path}")
        if found is None:
            return refusal(404, "not_found", f"no such path {asked.path}")
        return found if isinstance(found, Canned) else found(asked)

    @staticmethod
    def status(**changes: Any) -> Canned:
        """Return the answer of a gateway that does well, but for `changes`."""
        return Canned(
            {
                "version": __version__,
                "pid": os.getpid(),
                "started_at": "2026-11-21T08:00:00Z",
                "http": "http://127.0.0.1:8080",
                "ready": True,
                "config": {"path": None, "error": None, "problems": [], "notices": []},
                "ledger": {"healthy": True, "error": ""},
                "servers": 0,
                "epoch": 1,
                **changes,
            }
        )

    def paths(self) -> list[str]:
        return [f"{each.method} {each.path}" for each in self.asked]


def refusal(status: int, code: str, message: str, fix: str = "") -> Canned:
    problem = {"type": f"urn:coatcheck:error:{code}", "title": "No", "status": status, "code": code}
    return Canned({**problem, "detail": message, "fix": fix, "field": None}, status)


def items(*values: Any, **more: Any) -> Canned:
    return Canned({"items": list(values), "next": None, **more})


class _Exchange(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    api: FakeApi

    def address_string(self) -> str:
        return "unix"

    def log_message(self, format: str, *args: Any) -> None:
        pass

    def do_GET(self) -> None:
        self._reply(b"")

    def do_POST(self) -> None:
        self._reply(self.rfile.read(int(self.headers["Content-Length"])))

    def do_PATCH(self) -> None:
        self.do_POST()

    def do_PUT(self) -> None:
        self.do_POST()

    def do_DELETE(self) -> None:
        assert "Content-Length" not in self.headers
        self._reply(b"")

    def _reply(self, body: bytes) -> None:
        parts = urlsplit(self.path)
        assert parts.path.startswith("/api/v1/")
        asked = Asked(
            self.command,
            unquote(parts.path).removeprefix("/api/v1"),
            dict(parse_qsl(parts.query)),
            body,
            {name.lower(): text for name, text in self.headers.items()},
        )
        canned = self.api.answer(asked)
        if canned.stall:
            self.api.closing.wait(10)
            self.close_connection = True
            return
        if canned.lines is not None:
            self._stream(canned.lines)
            return
        answer = canned.raw if canned.raw is not None else json.dumps(canned.value).encode()
        self.send_response(canned.status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(canned.length if canned.length is not None else len(answer)))
        self.end_headers()
        self.wfile.write(answer)
        self.close_connection = canned.length is not None or self.close_connection

    def _stream(self, lines: list[Any]) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/jsonl")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for line in lines:
            chunk = (line if isinstance(line, bytes) else json.dumps(line).encode()) + b"\n"
            self.wfile.write(b"%x\r\n%s\r\n" % (len(chunk), chunk))
        self.wfile.write(b"0\r\n\r\n")
        self.close_connection = True


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True

    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing of a client that hung up early: tests read the same standard error as the command's."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _TcpServer(socketserver.ThreadingMixIn, socketserver.TCPServer):
    daemon_threads = True
    allow_reuse_address = True


@contextmanager
def serving_at_port(api: FakeApi) -> Iterator[str]:
    """Serve `api` at a free port of the loopback; yields the URL."""
    server = _TcpServer(("127.0.0.1", 0), type("Exchange", (_Exchange,), {"api": api}))
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_address[1]}"
    finally:
        api.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()


@contextmanager
def serving(path: Path, api: FakeApi) -> Iterator[FakeApi]:
    """Serve `api` at the socket `path`, of any length."""
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    exchange = type("Exchange", (_Exchange,), {"api": api})
    server = _Server(f"/proc/self/fd/{directory}/{path.name}", exchange)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield api
    finally:
        api.closing.set()
        server.shutdown()
        thread.join()
        server.server_close()
        os.close(directory)
        path.unlink(missing_ok=True)
