"""`coatcheck credential plan`: what is to be done about credentials, the gravest first."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.administering.credentials.showing import servers_of
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of

_COLUMNS: Final = ("CREDENTIAL", "WHY", "SINCE", "USED BY", "WHAT TO DO")
_NOTHING: Final = "nothing is due, failing, unverified or unused"
_COMMANDS: Final[Mapping[str, str]] = {
    "reconnect": "coatcheck credential connect {}",
    "staged": "coatcheck credential activate {}",
    "never verified": "coatcheck credential verify {}",
    "unused": "coatcheck credential remove {}",
}
_ROTATE: Final = "coatcheck credential rotate {}"


@click.command(
    "plan",
    short_help="Tell what is due, failing, unproven or unused.",
    epilog=options.example(
        "coatcheck credential plan", "coatcheck credential plan --json | jq -r '.items[].credential.name'"
    ),
)
@options.reached()
@options.as_json
def plan(where: Where, as_json: bool) -> int:
    """Tell which credentials fail, lack a value, must be connected anew, expire, are due, or are not used.

    The exit code is 0 whatever there is to do.
    """
    items = reach_of(where).get("/credentials/plan")["items"]
    if as_json:
        show.put_list(items)
    elif items:
        show.put_table(_COLUMNS, [_row(item) for item in items])
    else:
        show.put(_NOTHING)
    return Exit.DONE


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    found = item["credential"]
    return (
        found["name"],
        ", ".join(item["reasons"]),
        since.local(item["since"]).partition(" ")[0],
        servers_of(found),
        what_to_do(item),
    )


def what_to_do(item: Mapping[str, Any]) -> str:
    """Return the command that removes the gravest reason, or where else to do it."""
    found, reason = item["credential"], item["reasons"][0]
    if reason == "never verified" and "unused" in item["reasons"]:
        reason = "unused"  # there is nobody to ask
    if reason not in _COMMANDS and found["kind"] == "oauth":
        reason = "reconnect"
    if found["custody"] != "store" and reason not in {"never verified", "unused"}:
        return "edit the servers file, or what it names"
    return _COMMANDS.get(reason, _ROTATE).format(found["name"])
