"""What is pasted: each piece is of its form, whatever the server is called."""

from __future__ import annotations

import json
import shlex
import tomllib

import pytest

from coatcheck.core.pasting import pastes, route_of


@pytest.mark.parametrize("name", ["team", "git.hub", "a b", 'quo"te'])
@pytest.mark.parametrize("indent", [None, 2])
def test_every_piece_is_of_its_form(name: str, indent: int | None) -> None:
    found = {each.client: each.text for each in pastes(name, "https://x.example/mcp", indent)}
    for client in ("Cursor", "VS Code", "Claude Desktop"):
        (inner,) = [value for key, value in json.loads(found[client]).items() if key != "inputs"]
        assert list(inner) == [name]
        assert ("\n" in found[client]) == (indent is not None)
    assert list(tomllib.loads(found["Codex"])["mcp_servers"]) == [name]
    assert name in shlex.split(found["Claude Code"])
    assert "${COATCHECK_GRANT}" in found["Claude Code"]


def test_the_route_is_as_short_as_the_scope() -> None:
    assert route_of("https://x", ["github"]) == ("github", "https://x/mcp/github/")
    assert route_of("https://x", None) == ("team", "https://x/mcp")
    assert route_of("https://x", ("a", "b")) == ("team", "https://x/mcp")
