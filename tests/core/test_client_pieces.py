"""What is pasted: each piece is of its form, whatever the server is called, and holds no more than it should."""

from __future__ import annotations

import base64
import json
import re
import shlex
import tomllib
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from coatcheck.core.client_pieces import STAND_IN, VARIABLE, Paste, Supply, curl, pastes, route_of
from coatcheck.core.pasted import Filled, FoundServer, filled
from coatcheck.declared.pasted.reading import read_pasted
from coatcheck.model.secret import Secret

URL = "https://x.example/mcp"
TOKEN = "cckg_" + "Zq7" * 20 + "x"
JSON_CLIENTS = ("Cursor", "VS Code", "Windsurf", "Gemini CLI", "Zed", "Claude Desktop")


def by_client(name: str, indent: int | None = None, token: Secret | None = None) -> dict[str, Paste]:
    return {each.client: each for each in pastes(name, URL, indent, token)}


def read_back(text: str, fit: str, **given: str) -> Filled:
    """Return what our own reader of pastes makes of a text, once its gaps are filled in."""
    pasted = read_pasted(text)
    assert not pasted.problems
    (server,) = pasted.servers
    assert server.name == fit
    assert {gap.name for gap in server.gaps} == set(given)
    assert len(server.proposed) == (server.command is None or "COATCHECK_GRANT" in server.env)
    return filled(server, {name: Secret(value) for name, value in given.items()})


@pytest.mark.parametrize("name", ["team", "git.hub", "a b", 'quo"te'])
@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize("token", [None, Secret(TOKEN)])
def test_every_piece_is_of_its_form(name: str, indent: int | None, token: Secret | None) -> None:
    found = {client: each.text for client, each in by_client(name, indent, token).items()}
    for client in JSON_CLIENTS:
        (inner,) = [value for key, value in json.loads(found[client]).items() if key != "inputs"]
        assert list(inner) == [name]
        assert ("\n" in found[client]) == (indent is not None)
    assert list(tomllib.loads(found["Codex"])["mcp_servers"]) == [name]
    assert name in shlex.split(found["Claude Code"])
    assert ("${COATCHECK_GRANT}" in found["Claude Code"]) == (token is None)


GAPS = {
    **dict.fromkeys(("Claude Code", "Cursor", "Windsurf", "Codex", "Gemini CLI"), VARIABLE),
    "VS Code": "input:grant",
    "Zed": STAND_IN.strip("<>"),
}


@pytest.mark.parametrize("indent", [None, 2])
@pytest.mark.parametrize(("name", "fit"), [("team", "team"), ("git.hub", "git-hub"), ('quo"te', "quo-te")])
def test_every_piece_says_what_it_should(name: str, fit: str, indent: int | None) -> None:
    found = by_client(name, indent)
    assert {*GAPS, "Claude Desktop"} == set(found)
    for client, gap in GAPS.items():
        made = read_back(found[client].text, fit, **{gap: TOKEN})
        assert made.url == Secret(URL)
        assert dict(made.headers) == {"Authorization": Secret(f"Bearer {TOKEN}")}
    made = read_back(found["Claude Desktop"].text, fit)
    assert [each.reveal() for each in made.args] == ["bridge", URL, "--grant-file", "/path/to/grant"]


def test_with_the_token_pieces_are_ready() -> None:
    found = by_client("team", token=Secret(TOKEN))
    for client, each in found.items():
        assert TOKEN not in repr(each)
        assert TOKEN not in each.link
        assert (each.supply is Supply.TEXT) == (TOKEN in each.text) == (client != "VS Code")
    for client in set(GAPS) - {"VS Code"}:
        assert dict(read_back(found[client].text, "team").headers) == {
            "Authorization": Secret(f"Bearer {TOKEN}")
        }
    made = read_back(found["Claude Desktop"].text, "team")
    assert dict(made.env) == {VARIABLE: Secret(TOKEN)}
    assert found["VS Code"].text == by_client("team")["VS Code"].text


@pytest.mark.parametrize("name", ["team", "a b", 'quo"te&config=x'])
@pytest.mark.parametrize("token", [None, Secret(TOKEN)])
def test_links_say_the_same_as_the_pieces(name: str, token: Secret | None) -> None:
    found = by_client(name, token=token)
    assert {client for client, each in found.items() if each.link} == {"Cursor", "VS Code"}
    cursor = urlsplit(found["Cursor"].link)
    assert (cursor.scheme, cursor.netloc, cursor.path) == (
        "cursor",
        "anysphere.cursor-deeplink",
        "/mcp/install",
    )
    asked = parse_qs(cursor.query, strict_parsing=True)
    assert asked["name"] == [name]
    config = json.loads(base64.b64decode(asked["config"][0], validate=True))
    assert config == {"url": URL, "headers": {"Authorization": "Bearer ${env:COATCHECK_GRANT}"}}
    assert found["Cursor"].link_supply is Supply.VARIABLE
    code = found["VS Code"].link
    assert code.startswith("vscode:mcp/install?%7B")
    said = json.loads(unquote(code.partition("?")[2]))
    written = json.loads(found["VS Code"].text)
    assert said.pop("name") == name
    assert said.pop("inputs") == written["inputs"]
    assert said == written["servers"][name]
    assert found["VS Code"].link_supply is Supply.ASKED


def test_the_line_of_curl_is_one_command_of_a_shell() -> None:
    odd = "https://x.example/mcp/it's $HOME/"
    ready = curl(odd, Secret(TOKEN))
    words = shlex.split(ready.text.replace("\\\n", ""))
    assert words[:3] == ["curl", "-s", odd]
    assert f"Authorization: Bearer {TOKEN}" in words
    assert json.loads(words[words.index("-d") + 1])["method"] == "tools/list"
    assert (ready.supply, TOKEN in repr(ready)) == (Supply.TEXT, False)
    unready = curl(URL)
    assert '"Authorization: Bearer $COATCHECK_GRANT"' in unready.text  # the shell fills it in
    assert unready.supply is Supply.VARIABLE


def test_the_route_is_as_short_as_the_scope() -> None:
    assert route_of("https://x", ["github"]) == ("github", "https://x/mcp/github/")
    assert route_of("https://x", None) == ("team", "https://x/mcp")
    assert route_of("https://x", ("a", "b")) == ("team", "https://x/mcp")


def test_the_documentation_says_the_same() -> None:
    document = (Path(__file__).parents[2] / "docs/how-to/clients.md").read_text("utf-8")
    blocks = re.findall(r"^```(?:json|toml|console)\n(.*?)^```", document, re.MULTILINE | re.DOTALL)
    written = [block.replace("URL", URL) for block in blocks if "URL" in block]
    found = {each.client: each for each in pastes("team", URL)}
    read = [filled(one, {gap.name: Secret(TOKEN) for gap in one.gaps}) for one in map(_one, written)]
    usual = {client: _one(each.text) for client, each in found.items() if client != "Claude Desktop"}
    for client, server in usual.items():
        assert filled(server, {gap.name: Secret(TOKEN) for gap in server.gaps}) in read, client
    assert len(read) == len(found)
    assert [one.command for one in read if one.command] == ["coatcheck"]


def _one(text: str) -> FoundServer:
    (server,) = read_pasted(text).servers
    return server
