"""`coatcheck server list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.administering.servers.allowing import default_in_words, put_tools
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking.servers import state_of
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, Reach, at

_COLUMNS: Final = ("SERVER", "SOURCE", "TRANSPORT", "STATE", "TOOLS", "DEFAULT", "REACH")
_DISABLED: Final = "disabled"


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
        default_in_words(item),
        show.clean_line(str(item.get("reach") or "")),
    )


@click.command("show", short_help="Show one server.", epilog=options.example("coatcheck server show github"))
@click.argument("name", shell_complete=names.servers)
@click.option("--tools", is_flag=True, help="Ask it, and tell which of its tools the default allows.")
@options.reached()
@options.as_json
def show_server(name: str, tools: bool, where: Where, as_json: bool) -> int:
    """Show the server NAME: how it is reached, with the names of its secrets and never their values.

    With --tools, also which of its tools callers may use by default, which are hidden, and which cannot be
    classified. In JSON these are `listed`, null where it does not answer; `failing` says why.
    """
    reach = reach_of(where)
    with unknown_object(reach, "servers", name):
        found = reach.get(at("servers", name))
    if tools:
        found |= _listed(reach, found)
    if as_json:
        show.put_json(found)
    else:
        _put_server(found)
        _put_listed(found)
    return Exit.DONE


def _listed(reach: Reach, found: Mapping[str, Any]) -> dict[str, Any]:
    """Return the tools of a server, or why it did not tell them."""
    if found["state"] == _DISABLED:
        return {"listed": None, "failing": "it is disabled"}
    answer = reach.get("/tools", {"server": found["name"]}, within=PATIENT_SECONDS)
    failing = "".join(str(one["error"]) for one in answer["failing"])
    return {"listed": None if failing else answer["items"], "failing": failing}


def _put_listed(found: Mapping[str, Any]) -> None:
    if found.get("failing"):
        show.say(f"coatcheck: it does not tell its tools: {show.clean_line(found['failing'])}")
    elif "listed" in found:
        put_tools(found, found["listed"])


def _put_server(found: Mapping[str, Any]) -> None:
    plain = found.get("plain") or {}
    show.put_members(
        {
            "server": found["name"],
            "id": found["id"],
            "source": found["source"],
            "transport": found["transport"],
            "state": state_of(dict(found)),
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
            "default": default_in_words(found),
            "approved": ", ".join(found.get("approved") or ()),
            "trusted": "yes" if found.get("trusted") else "no",
            "route": f"/mcp/{found['name']}/",
        }
    )


def _probe(probe: Mapping[str, Any] | None) -> str:
    return "" if probe is None else f"{probe['tool']} {show.json_text(probe['arguments'])}"
