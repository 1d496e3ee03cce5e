"""The sheet the demo prints: URL, grant, what to paste into each client, and a call to try at once."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Final

NAME: Final = "coatcheck"
VARIABLE: Final = "COATCHECK_GRANT"


def sheet(url: str, grant: str, command: str, servers: Sequence[str]) -> str:
    """Return the whole sheet. `command` is how to type `coatcheck` with the demo's data directory."""
    bearer = {"Authorization": f"Bearer {grant}"}
    cursor = {"mcpServers": {NAME: {"url": url, "headers": bearer}}}
    windsurf = {"mcpServers": {NAME: {"serverUrl": url, "headers": bearer}}}
    parts = [
        f"Coatcheck answers at  {url}\nYour grant            {grant}\n"
        f"In front of           {', '.join(servers)} (orders over HTTP, with a credential you never see)",
        _part(
            "Claude Code",
            f'claude mcp add --transport http {NAME} {url} --header "Authorization: Bearer {grant}"',
        ),
        _part(
            "Codex: ~/.codex/config.toml, then start codex where the variable is set",
            f'[mcp_servers.{NAME}]\nurl = "{url}"\nbearer_token_env_var = "{VARIABLE}"\n\n'
            f"export {VARIABLE}={grant}",
        ),
        _part("Cursor: ~/.cursor/mcp.json", _json(cursor)),
        _part("Windsurf: ~/.codeium/windsurf/mcp_config.json", _json(windsurf)),
        _part("VS Code: .vscode/mcp.json (it asks for the grant and keeps it safe)", _json(_vscode(url))),
        _part("Look at it in a browser: this prints a link", f"{command} operator add you --role admin"),
        _part("Try it here, in another terminal", _try(url, grant, command)),
    ]
    return "\n\n".join(parts)


def _vscode(url: str) -> dict[str, object]:
    asked = {"type": "promptString", "id": "grant", "description": "Coatcheck grant", "password": True}
    server = {"type": "http", "url": url, "headers": {"Authorization": "Bearer ${input:grant}"}}
    return {"servers": {NAME: server}, "inputs": [asked]}


def _try(url: str, grant: str, command: str) -> str:
    meta = (
        '"_meta":{"io.modelcontextprotocol/protocolVersion":"2026-07-28",'
        '"io.modelcontextprotocol/clientCapabilities":{}}'
    )
    body = (
        '{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"orders__execute_sql",'
        '"arguments":{"database":"orders","sql":"select item, price from orders"},' + meta + "}}"
    )
    return (
        f"{command} list\n"
        f'{command} call time get_current_time \'{{"timezone":"Europe/Paris"}}\'\n\n'
        f"curl -s {url} -H 'Authorization: Bearer {grant}' \\\n"
        "  -H 'Content-Type: application/json' -H 'Accept: application/json, text/event-stream' \\\n"
        "  -H 'MCP-Protocol-Version: 2026-07-28' \\\n"
        "  -H 'Mcp-Method: tools/call' -H 'Mcp-Name: orders__execute_sql' \\\n"
        f"  -d '{body}'"
    )


def _part(title: str, text: str) -> str:
    return f"── {title}\n{text}"


def _json(shape: object) -> str:
    return json.dumps(shape, indent=2)
