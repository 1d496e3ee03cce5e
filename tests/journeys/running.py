"""A gateway before a counting server, with one caller whose tool `denied` is hidden: what most journeys need."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from coatcheck.core.wire.eras import NAME_PARAM, encode_header
from gateway import Gateway, new_grant
from journeys.peer import Peer, peer_serving
from journeys.wire import LEGACY, META, Got, Wire, control, frame, message, modern_headers, once

HIDE_DENIED = {"default": "allow", "rules": [{"tools": ["srv__denied"], "policy": "deny"}]}


@dataclass
class Hall:
    """A running gateway, the server behind it and a good grant."""

    gateway: Gateway
    peer: Peer
    grant: str

    @property
    def bearer(self) -> dict[str, str]:
        """The header that the caller sends."""
        return {"Authorization": f"Bearer {self.grant}"}

    def ask(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        path: str = "/mcp",
        grant: str | None = None,
        headers: Mapping[str, str | bytes | None] | None = None,
        id: int | str = 1,
    ) -> Got:
        """Send one modern request on a connection of its own."""
        data = self.request(method, params, path=path, grant=grant, headers=headers, id=id)
        with Wire(self.gateway.port) as wire:
            wire.send(data)
            return wire.read()

    def request(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        path: str = "/mcp",
        grant: str | None = None,
        headers: Mapping[str, str | bytes | None] | None = None,
        id: int | str = 1,
    ) -> bytes:
        """Write one modern request."""
        params = params or {}
        name = params.get(NAME_PARAM.get(method, ""))
        shown = encode_header(name) if isinstance(name, str) else None
        fields = {
            "Authorization": f"Bearer {grant or self.grant}",
            **modern_headers(method, shown),
            **(headers or {}),
        }
        meta = {**META, **params.get("_meta", {})}
        body = message(method, {**params, "_meta": meta}, id)
        return frame(body, path=path.encode(), headers=fields)

    def call(self, tool: str, arguments: dict[str, Any] | None = None, **how: Any) -> Got:
        """Call a tool of `srv` through the aggregated route."""
        return self.ask("tools/call", {"name": f"srv__{tool}", "arguments": arguments or {}}, **how)

    def raw(self, data: bytes) -> tuple[Got, bool]:
        """Send bytes; return the answer and whether the connection closed after it."""
        return once(self.gateway.port, data)

    def good(self) -> None:
        """Show that good requests go on."""
        got = self.call("echo", {"good": 1})
        assert got.status == 200, got
        assert json.loads(got.text) == {"good": 1}

    def session(self, path: str = "/mcp", grant: str | None = None, version: str = LEGACY) -> Session:
        """Open a legacy session."""
        return Session(self, path, grant or self.grant, version)

    def control(self, path: str, **query: str | int) -> Any:
        """Ask the API on the socket."""
        status, found = control(self.gateway.directory / "coatcheck.sock", "GET", path, None, **query)
        assert status == 200, found
        return found

    def records(self, limit: int = 1000, **query: str | int) -> list[dict[str, Any]]:
        """Return the record, oldest first."""
        found: list[dict[str, Any]] = self.control("/api/v1/records", limit=limit, **query)["items"]
        return found

    def last_position(self) -> int:
        """Return the position of the newest entry."""
        newest = self.records(limit=1)
        return int(newest[0]["position"]) if newest else 0

    def since(self, position: int) -> list[dict[str, Any]]:
        """Return the entries after a position."""
        return self.records(after=position)


class Session:
    """A legacy session, opened by `initialize`."""

    def __init__(self, hall: Hall, path: str, grant: str, version: str) -> None:
        self.hall, self.path, self.version = hall, path, version
        self.headers: dict[str, str | bytes | None] = {"Authorization": f"Bearer {grant}"}
        opening = {
            "protocolVersion": version,
            "capabilities": {},
            "clientInfo": {"name": "journey", "version": "1"},
        }
        self.opened = self.post(message("initialize", opening, 0))
        assert self.opened.status == 200, self.opened
        self.id = self.opened.headers["mcp-session-id"]
        self.headers |= {"Mcp-Session-Id": self.id, "MCP-Protocol-Version": version}

    def post(self, body: bytes, **headers: str | bytes | None) -> Got:
        """Send one body in the session."""
        with Wire(self.hall.gateway.port) as wire:
            wire.send(self.frame(body, **headers))
            return wire.read()

    def frame(self, body: bytes, **headers: str | bytes | None) -> bytes:
        """Write one request of the session; underscores of names stand for hyphens."""
        more = {name.replace("_", "-"): value for name, value in headers.items()}
        return frame(body, path=self.path.encode(), headers={**self.headers, **more})

    def ask(self, method: str, params: dict[str, Any] | None = None, id: int | str = 1) -> Got:
        """Send one request."""
        return self.post(message(method, params, id))

    def notify(self, method: str, params: dict[str, Any] | None = None) -> Got:
        """Send one notification."""
        return self.post(json.dumps({"jsonrpc": "2.0", "method": method, "params": params or {}}).encode())

    def end(self, **headers: str | bytes | None) -> Got:
        """Send DELETE."""
        with Wire(self.hall.gateway.port) as wire:
            more = {name.replace("_", "-"): value for name, value in headers.items()}
            fields = {**self.headers, "Content-Type": None, "Content-Length": None, **more}
            wire.send(frame(b"", path=self.path.encode(), verb=b"DELETE", headers=fields))
            return wire.read()


@contextmanager
def hall_at(directory: Path, declaration: dict[str, Any] | None = None, **settings: Any) -> Iterator[Hall]:
    """Run a gateway with one server `srv` and one grant of `alice`, and whatever else is declared."""
    grant, key = new_grant()
    with peer_serving(**settings.pop("peer", {})) as peer:
        extra = declaration or {}
        gateway = Gateway(
            directory,
            {
                "mcpServers": {"srv": peer.declared(), **extra.get("mcpServers", {})},
                "serverAuth": {
                    "providers": ["bearer"],
                    "bearer": {"tokens": {key: {"subject": "alice"}, **extra.get("tokens", {})}},
                    "acl": extra.get("acl", HIDE_DENIED),
                },
                **({"audit": extra["audit"]} if "audit" in extra else {}),
            },
            arguments=["--public-url", "http://gw", *settings.pop("arguments", ())],
            **settings,
        )
        gateway.start()
        try:
            yield Hall(gateway, peer, grant)
        finally:
            peer.release.set()
            gateway.stop()


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    """Run a gateway for the tests of one module."""
    with hall_at(tmp_path_factory.mktemp("hall") / "data") as running:
        running.good()
        yield running
