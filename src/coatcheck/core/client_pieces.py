"""What is pasted where, so that a client presents a grant: the line or the piece of configuration of each."""

from __future__ import annotations

import base64
import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final
from urllib.parse import quote

from coatcheck.model.era import MODERN_VERSIONS
from coatcheck.model.secret import Secret

TEAM: Final = "team"
"""What clients call a connection that reaches more than one server."""
VARIABLE: Final = "COATCHECK_GRANT"
STAND_IN: Final = "<grant>"
"""What stands for the token in a piece whose client has no other way to get it."""
_CURSOR: Final = "cursor://anysphere.cursor-deeplink/mcp/install"
_VS_CODE: Final = "vscode:mcp/install"


class Supply(StrEnum):
    """How the client gets the token of the grant."""

    VARIABLE = "variable"
    ASKED = "asked"
    FILE = "file"
    TEXT = "text"


@dataclass(frozen=True, slots=True)
class Paste:
    """For one client: `where` says where the `text` goes, a shell or a file.

    `link` opens the client and offers to add the connection, empty where it has none; no token is ever in
    it. `supply` and `link_supply` say how the client gets the token: from the variable COATCHECK_GRANT, by
    asking the person once and keeping it, from a file, or from the text itself, where it stands or is to be
    written in place of `<grant>`.
    """

    client: str
    where: str
    text: str = field(repr=False)
    supply: Supply = Supply.VARIABLE
    link: str = ""
    link_supply: Supply | None = None


def route_of(origin: str, servers: Sequence[str] | None) -> tuple[str, str]:
    """Return the name and the URL of the connection: of one server if that is all there is, else of all."""
    if servers is not None and len(servers) == 1:
        return servers[0], f"{origin}/mcp/{servers[0]}/"
    return TEAM, f"{origin}/mcp"


def pastes(name: str, url: str, indent: int | None = None, token: Secret | None = None) -> tuple[Paste, ...]:
    """Return what to paste for each client. The grant stays in a variable or a file of its own.

    With `token` it stands in the texts instead, ready to paste, but for clients that ask for it: then the
    texts are as secret as the token, and shown once. `indent` is how far JSON is indented; None: one line.
    """
    given = None if token is None else f"Bearer {token.reveal()}"
    supply = Supply.VARIABLE if token is None else Supply.TEXT

    def listed(key: str, server: Mapping[str, Any]) -> str:
        return json.dumps({key: {name: server}}, indent=indent)

    def headers(reference: str) -> dict[str, Any]:
        return {"headers": {"Authorization": given or f"Bearer {reference}"}}

    env = f"${{env:{VARIABLE}}}"
    cursor = listed("mcpServers", {"url": url, **headers(env)})
    windsurf = listed("mcpServers", {"serverUrl": url, **headers(env)})
    gemini = listed("mcpServers", {"httpUrl": url, **headers(f"${VARIABLE}")})
    zed = listed("context_servers", {"url": url, **headers(STAND_IN)})
    asked = Supply.ASKED
    return (
        Paste("Claude Code", "in a shell", _claude_code(name, url, given), supply),
        Paste("Cursor", "~/.cursor/mcp.json", cursor, supply, _cursor_link(name, url), Supply.VARIABLE),
        Paste(
            "VS Code", ".vscode/mcp.json", _vs_code(name, url, indent), asked, _vs_code_link(name, url), asked
        ),
        Paste("Windsurf", "~/.codeium/windsurf/mcp_config.json", windsurf, supply),
        Paste("Codex", "~/.codex/config.toml", _codex(name, url, given), supply),
        Paste("Gemini CLI", "~/.gemini/settings.json", gemini, supply),
        Paste("Zed", "~/.config/zed/settings.json", zed, Supply.TEXT),
        Paste(
            "Claude Desktop",
            "claude_desktop_config.json",
            listed("mcpServers", _bridge(url, token)),
            Supply.FILE if token is None else Supply.TEXT,
        ),
    )


def curl(url: str, token: Secret | None = None) -> Paste:
    """Return a command for where no client is at hand: it lists the tools that the grant sees."""
    version = MODERN_VERSIONS[-1]
    said = {
        "io.modelcontextprotocol/protocolVersion": version,
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    asked = {"jsonrpc": "2.0", "id": 1, "method": "tools/list", "params": {"_meta": said}}
    headers = (
        "Content-Type: application/json",
        "Accept: application/json, text/event-stream",
        f"MCP-Protocol-Version: {version}",
        "Mcp-Method: tools/list",
    )
    bearer = f"Authorization: Bearer {token.reveal()}" if token else ""
    lines = [
        f"curl -s {shlex.quote(url)}",
        f"-H {shlex.quote(bearer)}" if bearer else f'-H "Authorization: Bearer ${VARIABLE}"',
        *(f"-H {shlex.quote(header)}" for header in headers),
        f"-d {shlex.quote(json.dumps(asked))}",
    ]
    supply = Supply.VARIABLE if token is None else Supply.TEXT
    return Paste("curl", "in a shell: lists the tools", " \\\n  ".join(lines), supply)


def _claude_code(name: str, url: str, given: str | None) -> str:
    command = ["claude", "mcp", "add", "--scope", "user", "--transport", "http", name, url]
    header = f"Authorization: {given}" if given else f"Authorization: Bearer ${{{VARIABLE}}}"
    return shlex.join([*command, "--header", header])


def _cursor_link(name: str, url: str) -> str:
    """Return a link with the server as base64 (https://cursor.com/docs/mcp/install-links)."""
    server = {"url": url, "headers": {"Authorization": f"Bearer ${{env:{VARIABLE}}}"}}
    config = base64.b64encode(json.dumps(server).encode("utf-8")).decode("ascii")
    return f"{_CURSOR}?name={quote(name, safe='')}&config={quote(config, safe='')}"


def _asking(url: str) -> tuple[dict[str, Any], dict[str, Any]]:
    """Return a server that asks for the grant once, kept where VS Code keeps secrets, and the question."""
    server = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${input:grant}"}}
    asked = {"type": "promptString", "id": "grant", "description": "Coatcheck grant", "password": True}
    return server, asked


def _vs_code(name: str, url: str, indent: int | None) -> str:
    server, asked = _asking(url)
    return json.dumps({"servers": {name: server}, "inputs": [asked]}, indent=indent)


def _vs_code_link(name: str, url: str) -> str:
    """Return a link with the server, its name and its question, percent-encoded (VS Code, MCP guide)."""
    server, asked = _asking(url)
    return f"{_VS_CODE}?{quote(json.dumps({'name': name, **server, 'inputs': [asked]}), safe='')}"


def _codex(name: str, url: str, given: str | None) -> str:
    """Return a table of TOML, whose basic strings are written as those of JSON.

    Codex refuses a token as `bearer_token`; one that is written out goes into a header.
    """
    is_bare = all(char.isalnum() or char in "-_" for char in name) and name.isascii()
    table = f"[mcp_servers.{name if is_bare else json.dumps(name)}]\nurl = {json.dumps(url)}\n"
    if given is None:
        return f'{table}bearer_token_env_var = "{VARIABLE}"'
    return f"{table}http_headers = {{ Authorization = {json.dumps(given)} }}"


def _bridge(url: str, token: Secret | None) -> dict[str, Any]:
    """Return the command of the bridge, for a client that only starts commands."""
    if token is None:
        return {"command": "coatcheck", "args": ["bridge", url, "--grant-file", "/path/to/grant"]}
    return {"command": "coatcheck", "args": ["bridge", url], "env": {VARIABLE: token.reveal()}}
