"""The raw upstream of the benchmarks: an MCP server of the modern era that costs almost nothing.

`python -m bench.upstream` listens on a free port of the loopback and writes the port on standard output.
It serves `server/discover`, `tools/list` and `tools/call` of one tool, `echo`, and checks the bearer token,
so that a call answered at all is a call whose credential was swapped.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
from typing import cast

import httptools
import uvloop

from bench.answers import rendered

CREDENTIAL = os.environ.get("BENCH_CREDENTIAL", "")
PORT = int(os.environ.get("BENCH_PORT", "0"))
RENDERED = rendered(int(os.environ.get("BENCH_TOOLS", "0")))


class Connection(asyncio.Protocol):
    """One connection; answers each request as soon as it is whole."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop has transports of its own kind.
        self.transport = cast("asyncio.Transport", transport)
        self.parser = httptools.HttpRequestParser(self)
        self.body = bytearray()
        self.authorization = b""

    def data_received(self, received: bytes) -> None:
        self.parser.feed_data(received)

    def on_message_begin(self) -> None:
        self.body.clear()
        self.authorization = b""

    def on_header(self, name: bytes, text: bytes) -> None:
        if len(name) == 13 and name.lower() == b"authorization":
            self.authorization = text

    def on_body(self, part: bytes) -> None:
        self.body += part

    def on_message_complete(self) -> None:
        if self.authorization != EXPECTED:
            self.answer(b"401 Unauthorized", b'{"error":"wrong credential"}')
            return
        request = json.loads(self.body) if self.body else {}
        result = RENDERED.get(request.get("method", ""))
        if result is None:
            error = {"code": -32601, "message": "Method not found"}
            body = json.dumps({"jsonrpc": "2.0", "id": request.get("id"), "error": error}).encode()
            self.answer(b"404 Not Found", body)
            return
        id_ = json.dumps(request["id"]).encode()
        self.answer(b"200 OK", b'{"jsonrpc":"2.0","id":%b,"result":%b}' % (id_, result))

    def answer(self, status: bytes, body: bytes) -> None:
        head = b"HTTP/1.1 %b\r\ncontent-type: application/json\r\ncontent-length: %d\r\n\r\n" % (
            status,
            len(body),
        )
        self.transport.write(head + body)


EXPECTED = f"Bearer {CREDENTIAL}".encode()


async def main() -> None:
    server = await asyncio.get_running_loop().create_server(Connection, "127.0.0.1", PORT, backlog=512)
    sys.stdout.write(f"{server.sockets[0].getsockname()[1]}\n")
    sys.stdout.flush()
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(main())
