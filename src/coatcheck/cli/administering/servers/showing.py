"""`coatcheck server list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking.servers import state_of
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, at

_COLUMNS: Final = ("SERVER", "SOURCE", "TRANSPORT", "STATE", "TOOLS", "REACH")


@click.command(
    "list",
    short_help="List the servers of both sources.",
    epilog=options.example("coatcheck server list"),
)
@click.option("--probe", is_flag=True, help="Ask those never heard from.")
@options.limit
@options.reached()
@options.as_json
def list_servers(probe: bool, limit: int, where: Where, as_json: bool) -> int:
    """List the servers by name: those registered here and those of the servers file."""
    query = {"probe": "true"} if probe else {}
    items, rest = reach_of(where).pages("/servers", query, limit, within=PATIENT_SECONDS)
    none = "there are no servers; `coatcheck server add` registers one"
    show.put_page(_COLUMNS, [_row(item) for item in items], items, rest, as_json, none)
    return Exit.DONE


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        item["name"],
        item["source"],
        item["transport"],
        state_of(dict(item)),
        item.get("tools"),
        show.clean_line(str(item.get("reach") or "")),
    )


@click.command("show", short_help="Show one server.", epilog=options.example("coatcheck server show github"))
@click.argument("name", shell_complete=names.servers)
@options.reached()
@options.as_json
def show_server(name: str, where: Where, as_json: bool) -> int:
    """Show the server NAME: how it is reached, with the names of its secrets and never their values."""
    reach = reach_of(where)
    with unknown_object(reach, "servers", name):
        found = reach.get(at("servers", name))
    if as_json:
        show.put_json(found)
        return Exit.DONE
    plain = found.get("plain") or {}
    show.put_members(
        {
            "server": found["name"],
            "id": found["id"],
            "source": found["source"],
            "transport": found["transport"],
            "state": state_of(found),
            "because": found.get("because"),
            "reach": found.get("reach"),
            "arguments": found.get("args"),
            "cwd": found.get("cwd"),
            "shown": ", ".join(f"{key}={value}" for key, value in plain.items()),
            "secret": ", ".join(found.get("sealed") or ()),
            "credentials": ", ".join(f"{one['place']}={one['name']}" for one in found["credentials"]),
            "lacking": found["lacking"],
            "probe": _probe(found["upkeep"]["probe"]),
            "replace": found["upkeep"]["replace"],
            "added": since.local(found.get("created_at")),
            "added by": found.get("created_by"),
            "note": found.get("note"),
            "route": f"/mcp/{found['name']}/",
        }
    )
    return Exit.DONE


def _probe(probe: Mapping[str, Any] | None) -> str:
    return "" if probe is None else f"{probe['tool']} {show.json_text(probe['arguments'])}"
