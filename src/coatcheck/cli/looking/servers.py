"""`coatcheck list`: each server with its state, and what is wrong with it."""

from __future__ import annotations

from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import gateway_of
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, Reach
from coatcheck.errors import CoatcheckError

_NO_SERVERS: Final = (
    "there are no servers; `coatcheck server add` registers one with the running gateway, "
    "`coatcheck add` writes one into servers.json (`coatcheck config show` says where)"
)

_ERROR_CHARS: Final = 160
_TOLD: Final = frozenset({"failing", "expired", "overdue"})
"""What is told of credentials; of those that lack, the servers themselves say so."""


@click.command(
    "list",
    short_help="List the servers and how they do.",
    epilog=options.example("coatcheck list --data state"),
)
@options.where
@options.far
@options.as_json
def list_servers(where: Where, as_json: bool) -> int:
    """List the servers: transport, state, number of tools, last error.

    Servers never heard from are asked first. Long errors are cut short on a terminal, not in JSON.
    With no gateway running, the servers are started for this one command.
    """
    with gateway_of(where, options.load(where)) as reach:
        answer = reach.get("/servers", {"probe": "true"}, within=PATIENT_SECONDS)
        late = _late(reach)
    items = answer["items"]
    if not items:
        show.say(f"coatcheck: {_NO_SERVERS}")
    if as_json:
        show.put_list(items)
    elif items:
        show.put_table(
            ("SERVER", "TRANSPORT", "STATE", "TOOLS", "LAST ERROR"), [_row(item) for item in items]
        )
    for line in late:
        show.say(f"coatcheck: {line}; see `coatcheck credential plan`")
    return Exit.DONE


def _late(reach: Reach) -> list[str]:
    """Return which credentials of servers fail or are overdue; none where that cannot be told."""
    try:
        items = reach.get("/credentials/plan")["items"]
    except CoatcheckError:
        return []  # the servers are what was asked for
    shown = [item for item in items if item["reasons"][0] in _TOLD and item["credential"]["used_by"]]
    return [f"the credential {item['credential']['name']} is {item['reasons'][0]}" for item in shown]


def state_of(item: dict[str, Any]) -> str:
    """Return the state in words: a server with an old tool list is also `degraded`."""
    return f"{item['state']} (degraded)" if item.get("degraded") else str(item["state"])


def _row(item: dict[str, Any]) -> tuple[Any, ...]:
    return (
        item["name"],
        item["transport"],
        state_of(item),
        item.get("tools"),
        show.shorten(item.get("last_error") or "", _ERROR_CHARS),
    )
