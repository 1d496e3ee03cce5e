"""The outermost ASGI application: judges every head, then hands the request to the surface of its path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from typing import Any, Final

from coatcheck.core.wire import framing, peers
from coatcheck.core.wire.framing import Arrival
from coatcheck.mcp import refusing
from coatcheck.mcp.outlets import Receive, Send
from coatcheck.mcp.relay import send_json
from coatcheck.mcp.routes import find_route
from coatcheck.operations.tally import Tally

Scope = MutableMapping[str, Any]
Serve = Callable[[Arrival, Receive, Send], Awaitable[None]]
Probe = Callable[[Arrival], tuple[int, bytes, bytes]]
"""Returns status, media type and body."""

_PROBE_PATHS: Final = frozenset({"/livez", "/readyz", "/health", "/metrics"})

_WELL_FRAMED: Final = frozenset({403, 421})
"""Refusals of where a request comes from or goes to: it can be read to its end, so the connection stays."""


@dataclass(frozen=True, slots=True)
class Surfaces:
    """What stands behind the door: MCP routes, and the pages that probes ask for."""

    mcp: Serve
    probes: Probe


class Door:
    """An ASGI application (HTTP and lifespan) over the surfaces."""

    def __init__(
        self, surfaces: Surfaces, doors: framing.Doors, trusted: peers.Networks, tally: Tally
    ) -> None:
        self._surfaces = surfaces
        self._doors = doors
        self._trusted = trusted
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        headers = framing.read_headers(scope["headers"])
        if isinstance(headers, framing.Misframed):
            await self._refuse(headers, send)
            return
        wrong = self._judge(scope, headers)
        if wrong is not None:
            await self._refuse(wrong, send)
            return
        path: str = scope["path"]
        peer = scope["client"][0] if scope.get("client") else ""
        address = peers.client_address(peer, headers.get("x-forwarded-for", ()), self._trusted)
        arrival = Arrival(scope["method"], path, headers, peer, address, scope["query_string"])
        if find_route(path) is not None:
            await self._surfaces.mcp(arrival, receive, send)
        elif path in _PROBE_PATHS:
            await self._probe(arrival, send)
        else:
            nothing = refusing.nothing_here()
            self._tally.answered("none", nothing.status)
            await send_json(send, nothing.status, nothing.body, nothing.headers)

    async def _probe(self, arrival: Arrival, send: Send) -> None:
        status, media, body = self._surfaces.probes(arrival)
        headers = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _judge(self, scope: Scope, headers: framing.Headers) -> framing.Misframed | None:
        wrong = framing.judge_head(headers, scope["raw_path"], scope["query_string"])
        if wrong is not None or scope["path"] in _PROBE_PATHS:
            return wrong  # probes come by address; what they may see is decided by who asks
        return framing.judge_origin_and_host(headers, self._doors)

    async def _refuse(self, wrong: framing.Misframed, send: Send) -> None:
        self._tally.misframed[wrong.status] += 1
        if wrong.status in _WELL_FRAMED:
            reject = refusing.problem(wrong.status, "bad_request", wrong.sentence)
        else:
            reject = refusing.misframed(wrong.status, wrong.sentence)
        await send_json(send, reject.status, reject.body, reject.headers)
