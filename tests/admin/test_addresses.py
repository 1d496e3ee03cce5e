"""Where the API and claim links are served: beside MCP, or the API on an address of its own; never to strangers."""

from __future__ import annotations

import http.client
from collections.abc import MutableMapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from coatcheck.core.wire import framing
from coatcheck.front.door import Door, Surfaces
from coatcheck.operations.tally import Tally
from gateway import free_port
from journeys.operating import Office
from journeys.running import hall_at


def test_the_api_may_have_an_address_of_its_own(tmp_path: Path) -> None:
    port = free_port()
    with hall_at(tmp_path / "data", arguments=["--admin", f"127.0.0.1:{port}"]) as hall:
        office = Office(hall)
        code = office.locally("POST", "/operators", {"name": "ann", "role": "viewer"})["code"]
        assert office.raw("POST", "/api/v1/login", b"{}").status == 404
        assert office.raw("GET", "/claim/x").status == 404

        def ask(method: str, path: str, body: str | None = None, **headers: str) -> int:
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
            try:
                connection.request(method, path, body, {"Content-Type": "application/json", **headers})
                return connection.getresponse().status
            finally:
                connection.close()

        assert ask("POST", "/api/v1/login", f'{{"code":"{code}"}}') == 200
        assert ask("GET", "/api/v1/status") == 401
        assert ask("POST", "/mcp", "{}", Authorization=f"Bearer {hall.grant}") == 404
        assert ask("GET", "/livez") == 200
        office.locally("POST", "/grants", {"label": "x", "subject": "x", "servers": None, "by_claim": True})
        hall.good()


@pytest.mark.parametrize(
    ("path", "host", "status"),
    [("/api/v1/status", "gw", 200), ("/claim/x", "gw", 200), ("/oauth/callback", "gw", 200), ("/api/v1/status", "elsewhere", 421), ("/claim/x", "elsewhere", 421), ("/api/v1/status", "gw:1", 421)],
)  # fmt: skip
async def test_where_any_host_is_taken_for_mcp_the_api_takes_its_own_only(
    path: str, host: str, status: int
) -> None:
    sent: list[MutableMapping[str, Any]] = []

    async def served(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})

    async def receive() -> MutableMapping[str, Any]:
        return {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    doors = framing.Doors(frozenset({"gw"}), frozenset(), any_host=True)
    pages = SimpleNamespace(app=served, owns=lambda path, _: path.startswith("/claim/"))
    door = Door(Surfaces(None, lambda _: (200, b"", b""), served, served, pages), doors, (), Tally())
    headers = [(b"host", host.encode()), (b"authorization", b"Bearer x")]
    scope = {"type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "headers": headers, "client": ("10.0.0.1", 1)}  # fmt: skip
    await door(scope, receive, send)
    assert sent[0]["status"] == status
