"""What is pasted where, so that a client presents a grant: the line or the piece of configuration of each."""

from __future__ import annotations

import json
import shlex
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

TEAM: Final = "team"
"""What clients call a connection that reaches more than one server."""
VARIABLE: Final = "COATCHECK_GRANT"


@dataclass(frozen=True, slots=True)
class Paste:
    """For one client: `where` says where the `text` goes, a shell or a file."""

    client: str
    where: str
    text: str


def route_of(origin: str, servers: Sequence[str] | None) -> tuple[str, str]:
    """Return the name and the URL of the connection: of one server if that is all there is, else of all."""
    if servers is not None and len(servers) == 1:
        return servers[0], f"{origin}/mcp/{servers[0]}/"
    return TEAM, f"{origin}/mcp"


def pastes(name: str, url: str, indent: int | None = None) -> tuple[Paste, ...]:
    """Return what to paste for each client. The grant stays in a variable or a file of its own.

    `indent` is how far JSON is indented; None: it is one line.
    """
    command = ["claude", "mcp", "add", "--scope", "user", "--transport", "http", name, url]
    header = f"--header 'Authorization: Bearer ${{{VARIABLE}}}'"
    cursor = {"url": url, "headers": {"Authorization": f"Bearer ${{env:{VARIABLE}}}"}}
    bridge = {"command": "coatcheck", "args": ["bridge", url, "--grant-file", "/path/to/grant"]}
    return (
        Paste("Claude Code", "in a shell", f"{shlex.join(command)} {header}"),
        Paste("Cursor", "~/.cursor/mcp.json", json.dumps({"mcpServers": {name: cursor}}, indent=indent)),
        Paste("VS Code", ".vscode/mcp.json", json.dumps(_vs_code(name, url), indent=indent)),
        Paste("Codex", "~/.codex/config.toml", _codex(name, url)),
        Paste(
            "Claude Desktop",
            "claude_desktop_config.json",
            json.dumps({"mcpServers": {name: bridge}}, indent=indent),
        ),
    )


def _vs_code(name: str, url: str) -> dict[str, Any]:
    """Return a piece that asks for the grant once, and keeps it where VS Code keeps secrets."""
    server = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${input:grant}"}}
    asked = {"type": "promptString", "id": "grant", "description": "Coatcheck grant", "password": True}
    return {"servers": {name: server}, "inputs": [asked]}


def _codex(name: str, url: str) -> str:
    """Return a table of TOML, whose basic strings are written as those of JSON."""
    key = (
        name if all(char.isalnum() or char in "-_" for char in name) and name.isascii() else json.dumps(name)
    )
    return f'[mcp_servers.{key}]\nurl = {json.dumps(url)}\nbearer_token_env_var = "{VARIABLE}"'
