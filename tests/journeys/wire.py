"""HTTP/1.1 byte by byte: requests as no library would send them, and answers read strictly."""

from __future__ import annotations

import http.client
import json
import socket
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlencode

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
META = {
    "io.modelcontextprotocol/protocolVersion": MODERN,
    "io.modelcontextprotocol/clientCapabilities": {},
}
PATIENCE = 20.0


@dataclass(frozen=True)
class Got:
    """One answer. `status` 0: the connection ended without one."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON."""
        return json.loads(self.body)

    @property
    def code(self) -> int | None:
        """The JSON-RPC error code, if the body is one."""
        try:
            return int(self.json()["error"]["code"])
        except (ValueError, KeyError, TypeError):
            return None

    @property
    def result(self) -> dict[str, Any]:
        """The JSON-RPC result."""
        found: dict[str, Any] = self.json()["result"]
        return found

    @property
    def text(self) -> str:
        """The text of a tool's result."""
        return str(self.result["content"][0]["text"])

    def events(self) -> list[dict[str, Any]]:
        """Return the messages of an event stream; what only primes a client has none."""
        lines = self.body.decode().split("\n")
        return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: {")]


class Wire:
    """One connection to a port of this machine."""

    def __init__(self, port: int, timeout: float = PATIENCE) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port), timeout)
        self._buffer = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def send(self, data: bytes) -> None:
        """Send bytes; a peer that closed already is no error here, the answer tells."""
        try:
            self.socket.sendall(data)
        except (BrokenPipeError, ConnectionResetError):
            return

    def read(self) -> Got:
        """Read one answer."""
        head = self._until(b"\r\n\r\n")
        if not head:
            return Got(0, {}, b"")
        first, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
        status = int(first.split(" ")[1])
        if status == 100:
            return self.read()
        return Got(status, headers, self._body(status, headers))

    def read_after(self, data: bytes, status: int) -> Got:
        """Send the same request until it is answered with this status."""
        for _ in range(200):
            self.send(data)
            got = self.read()
            if got.status == status:
                return got
            time.sleep(0.01)
        raise AssertionError(got)

    def head(self) -> int:
        """Read the head of an answer whose body goes on; return its status."""
        return int(self._until(b"\r\n\r\n").split(b" ")[1])

    def event(self) -> dict[str, Any]:
        """Read one message of a stream whose head was read; comments and priming are passed over."""
        while True:
            block = self._until(b"\n\n")
            for line in block.split(b"\n"):
                if line.startswith(b"data: {"):
                    found: dict[str, Any] = json.loads(line.removeprefix(b"data: "))
                    return found

    def ending(self) -> bytes:
        """Read a stream of chunks to its end; return what came before it, without the last chunk."""
        return self._until(b"0\r\n\r\n").strip()

    def is_closed(self) -> bool:
        """Tell whether the peer has closed, having sent nothing more."""
        try:
            return not self._buffer and not self.socket.recv(1)
        except TimeoutError:
            return False
        except OSError:
            return True

    def close(self) -> None:
        """Hang up."""
        self.socket.close()

    def rest(self) -> bytes:
        """Read until the peer closes."""
        data, self._buffer = self._buffer, b""
        while more := self._more():
            data += more
        return data

    def _body(self, status: int, headers: Mapping[str, str]) -> bytes:
        if status in {204, 304}:
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while size := int(self._until(b"\r\n"), 16):
                body += self._exactly(size)
                self._exactly(2)
            self._exactly(2)
            return body
        if "content-length" in headers:
            return self._exactly(int(headers["content-length"]))
        return self.rest()

    def _until(self, mark: bytes) -> bytes:
        while mark not in self._buffer:
            if not (more := self._more()):
                return b""
            self._buffer += more
        found, _, self._buffer = self._buffer.partition(mark)
        return found

    def _exactly(self, size: int) -> bytes:
        parts, have = [self._buffer], len(self._buffer)
        while have < size and (more := self._more()):
            parts.append(more)
            have += len(more)
        data = b"".join(parts)
        self._buffer = data[size:]
        return data[:size]

    def _more(self) -> bytes:
        try:
            return self.socket.recv(1 << 16)
        except ConnectionResetError:
            return b""


def once(port: int, data: bytes) -> tuple[Got, bool]:
    """Send bytes on a new connection; return the answer and whether the connection closed after it, as announced."""
    with Wire(port) as wire:
        wire.send(data)
        got = wire.read()
        return got, got.headers.get("connection") == "close" and wire.is_closed()


def frame(
    body: bytes,
    *,
    path: bytes = b"/mcp",
    verb: bytes = b"POST",
    host: bytes = b"gw",
    headers: Mapping[str, str | bytes | None] | None = None,
    lines: bytes = b"",
) -> bytes:
    """Write a request with Content-Length. `headers` None values leave one out, `lines` go in as they are."""
    fields: dict[str, str | bytes | None] = {
        "Host": host,
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(len(body)),
        **(headers or {}),
    }
    head = verb + b" " + path + b" HTTP/1.1\r\n"
    for name, value in fields.items():
        if value is not None:
            raw = value if isinstance(value, bytes) else value.encode()
            head += name.encode() + b": " + raw + b"\r\n"
    return head + lines + b"\r\n" + body


def modern_headers(method: str, name: str | None = None) -> dict[str, str]:
    """Return the headers that a modern request owes."""
    headers = {"MCP-Protocol-Version": MODERN, "Mcp-Method": method}
    return headers if name is None else {**headers, "Mcp-Name": name}


def message(method: str, params: dict[str, Any] | None = None, id: int | str = 1) -> bytes:
    """Write a request."""
    body: dict[str, Any] = {"jsonrpc": "2.0", "id": id, "method": method}
    if params is not None:
        body["params"] = params
    return json.dumps(body).encode()


class UnixConnection(http.client.HTTPConnection):
    """A connection to a socket in the file system."""

    def __init__(self, path: Path) -> None:
        super().__init__("localhost", timeout=PATIENCE)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(PATIENCE)
        self.sock.connect(str(self._path))


def control(
    socket_path: Path, verb: str, path: str, body: bytes | None = None, /, **query: str | int
) -> tuple[int, Any]:
    """Ask the API on the socket in the data directory; return status and JSON."""
    connection = UnixConnection(socket_path)
    try:
        headers = {"Content-Type": "application/json"} if body is not None else {}
        connection.request(verb, f"{path}?{urlencode(query)}", body, headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()
