"""Which paths are routes, and what they are routes to."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.mcp.routes import Entrance, Route, find_route

UUID = "0b5e3c1a-0000-4000-8000-000000000001"


@pytest.mark.parametrize(
    ("path", "server"),
    [
        ("/mcp", None),
        ("/mcp/", None),
        ("/mcp/x", "x"),
        ("/mcp/x/", "x"),
        ("/mcp/A_b-9", "A_b-9"),
        (f"/mcp/{UUID}/", UUID),
        ("/mcp/" + "a" * 40, "a" * 40),
    ],
)
def test_routes(path: str, server: str | None) -> None:
    assert find_route(path) == Route(server)


@pytest.mark.parametrize(
    ("path", "server", "entrance"),
    [
        ("/mcp/sse", None, Entrance.SSE),
        ("/mcp/sse/", None, Entrance.SSE),
        ("/mcp/message", None, Entrance.MESSAGE),
        ("/mcp/x/sse", "x", Entrance.SSE),
        (f"/mcp/{UUID}/message", UUID, Entrance.MESSAGE),
        ("/mcp/ssex", "ssex", Entrance.STREAMABLE),
        ("/mcp/messages", "messages", Entrance.STREAMABLE),
    ],
)
def test_every_route_has_two_entrances_for_old_clients(
    path: str, server: str | None, entrance: Entrance
) -> None:
    found = find_route(path)
    assert found == Route(server, entrance)
    assert found.path == Route(server).path  # the record knows no transports


@pytest.mark.parametrize("server", [None, "x"])
def test_a_route_has_one_spelling_on_record(server: str | None) -> None:
    assert Route(server).path == ("/mcp/x" if server else "/mcp")
    assert find_route(Route(server).path) == find_route(Route(server).path + "/") == Route(server)


@pytest.mark.parametrize(
    "path",
    ["", "/", "mcp", "/mcp//", "/mcpx", "/MCP", "/mcp/x/y", "/mcp/x//", "/mcp/a.b", "/mcp/ ", "/mcp/x\n", "/mcp\n", "/mcp/\u00e9",
     "/mcp/" + "a" * 41, "/mcp/.well-known", "/mcp/x/.well-known", "/api/mcp", "//mcp", "/mcp/sse/sse", "/mcp/message/sse", "/mcp/x/sse/y", "/mcp/sse//", "/mcp/x/SSE", "/mcp//sse", "/mcp/sse\n"],
)  # fmt: skip
def test_no_routes(path: str) -> None:
    assert find_route(path) is None


@given(st.text())
def test_whatever_is_found_is_made_of_plain_characters(path: str) -> None:
    route = find_route("/mcp/" + path)
    if route is not None and route.server is not None:
        assert route.server.isascii()
        assert set(route.server) <= set("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")
        assert route.server == path.removesuffix("/")
