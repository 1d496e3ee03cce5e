"""The outermost ASGI application: judges every head, then hands the request to the surface of its path."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from coatcheck.admin.api.problems import Problem, Wrong
from coatcheck.core.wire import framing, peers
from coatcheck.core.wire.framing import ARRIVAL, Arrival
from coatcheck.front.turn import Application, Scope
from coatcheck.mcp import refusing
from coatcheck.mcp.outlets import Message, Receive, Send
from coatcheck.mcp.relay import send_json
from coatcheck.mcp.routes import find_route
from coatcheck.operations.tally import Tally

Serve = Callable[[Arrival, Receive, Send], Awaitable[None]]
Note = Callable[[str, str, str], Awaitable[None]]
"""Takes note of a request that is turned away at the door: why in one word, its path and its address."""
Probe = Callable[[Arrival], tuple[int, bytes, bytes]]
"""Returns status, media type and body."""

_PROBE_PATHS: Final = frozenset({"/livez", "/readyz", "/health", "/metrics"})
_API: Final = "/api/v1"
_CALLBACK: Final = "/oauth/callback"

_WELL_FRAMED: Final = frozenset({403, 421})
"""Refusals of where a request comes from or goes to: it can be read to its end, so the connection stays."""
_CODES: Final = {403: "bad_origin", 421: "bad_host"}


class Pages(Protocol):
    """The console, as the door sees it."""

    @property
    def app(self) -> Application:
        """What serves its pages."""
        ...

    def owns(self, path: str, method: str) -> bool:
        """Tell whether a page of it is there."""
        ...


@dataclass(frozen=True, slots=True)
class Surfaces:
    """What stands behind a door: MCP routes, the pages that probes ask for, the REST API, where browsers come
    back to from authorization servers, and the console.

    None: not behind this door.
    """

    mcp: Serve | None
    probes: Probe
    api: Application | None = None
    callbacks: Application | None = None
    console: Pages | None = None


class Door:
    """An ASGI application (HTTP and lifespan) over the surfaces.

    `doors` are the Hosts and Origins of MCP routes, `own` those of the API and of the console, which take no
    Host that is not known; left out, they are the same without strangers. `note` hears of requests to or from
    names that are not ours.
    """

    def __init__(
        self,
        surfaces: Surfaces,
        doors: framing.Doors,
        trusted: peers.Networks,
        tally: Tally,
        own: framing.Doors | None = None,
        note: Note | None = None,
    ) -> None:
        self._note = note
        self._surfaces = surfaces
        self._doors = doors
        self._own = replace(own or doors, any_host=False)
        self._trusted = trusted
        self._tally = tally

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        path: str = scope["path"]
        mcp = self._surfaces.mcp if find_route(path) is not None else None
        headers = framing.read_headers(scope["headers"])
        if isinstance(headers, framing.Misframed):
            await self._refuse(path, headers, send)
            return
        wrong = framing.judge_head(headers, scope["raw_path"], scope["query_string"])
        if wrong is None:
            wrong = self._judge_sides(path, scope["method"], headers, is_mcp=mcp is not None)
        peer = scope["client"][0] if scope.get("client") else ""
        address = peers.client_address(peer, headers.get("x-forwarded-for", ()), self._trusted)
        if wrong is not None:
            if wrong.status in _WELL_FRAMED and self._note is not None:
                await self._note(_CODES[wrong.status], path, address)
            await self._refuse(path, wrong, send)
            return
        arrival = Arrival(scope["method"], path, headers, peer, address, scope["query_string"])
        if mcp is not None:
            await mcp(arrival, receive, send)
        else:
            await self._lead(arrival, scope, receive, send)

    async def _lead(self, arrival: Arrival, scope: Scope, receive: Receive, send: Send) -> None:
        """Hand a request that is not MCP's to its surface."""
        path = arrival.path
        application = self._application(path, arrival.method)
        if path in _PROBE_PATHS:
            await self._probe(arrival, send)
        elif application is not None:
            scope[ARRIVAL] = arrival
            await application(scope, receive, send)
        else:
            nothing = refusing.nothing_here()
            self._tally.answered("none", nothing.status)
            await send_json(send, nothing.status, nothing.body, nothing.headers)

    def _application(self, path: str, method: str) -> Application | None:
        surfaces = self._surfaces
        if _is_api(path):
            return surfaces.api
        if path == _CALLBACK:
            return surfaces.callbacks
        return surfaces.console.app if surfaces.console and surfaces.console.owns(path, method) else None

    async def _probe(self, arrival: Arrival, send: Send) -> None:
        status, media, body = self._surfaces.probes(arrival)
        headers = [(b"content-type", media), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    def _judge_sides(
        self, path: str, method: str, headers: framing.Headers, *, is_mcp: bool
    ) -> framing.Misframed | None:
        """Judge where a request comes from and goes to."""
        if not is_mcp and path in _PROBE_PATHS:
            return None  # probes come by address; what they may see is decided by who asks
        if is_mcp or self._application(path, method) is None:
            return framing.judge_origin_and_host(headers, self._doors)
        if path == _CALLBACK and headers.get("origin") == ("null",):
            # What a browser may say that was sent here from elsewhere. Whoever else says it would have to
            # know what was given out for this one visit, and cannot read the answer.
            headers = {name: values for name, values in headers.items() if name != "origin"}
        return framing.judge_origin_and_host(headers, self._own)

    async def _refuse(self, path: str, wrong: framing.Misframed, send: Send) -> None:
        self._tally.misframed[wrong.status] += 1
        if _is_api(path) and self._surfaces.api is not None:
            refused = Problem(
                _CODES.get(wrong.status, "bad_request"), Wrong(wrong.sentence), status=wrong.status
            )
            closing = {} if wrong.status in _WELL_FRAMED else {"Connection": "close"}
            response = refused.response()
            response.headers.update({**closing, "Cache-Control": "no-store"})
            await response({"type": "http"}, _nothing, send)
            return
        if wrong.status in _WELL_FRAMED:
            reject = refusing.problem(wrong.status, "bad_request", wrong.sentence)
        else:
            reject = refusing.misframed(wrong.status, wrong.sentence)
        await send_json(send, reject.status, reject.body, reject.headers)


def _is_api(path: str) -> bool:
    return path == _API or path.startswith(f"{_API}/")


async def _nothing() -> Message:
    """Stand for a body that is not read."""
    return {"type": "http.disconnect"}
