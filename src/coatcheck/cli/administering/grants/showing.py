"""`coatcheck grant list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import at

STATES: Final = ("live", "unclaimed", "disabled", "expired", "revoked")
"""Those of `operations.registry.views.GrantState`, which a start-up would have to import."""
_COLUMNS: Final = ("GRANT", "SUBJECT", "SERVERS", "STATE", "EXPIRES", "LAST USED", "SOURCE")


@click.command(
    "list",
    short_help="List grants.",
    epilog=options.example("coatcheck grant list --subject alice --state live"),
)
@click.option("--subject", help="Only grants of this subject.", shell_complete=names.subjects)
@click.option("--server", help="Only grants that reach this server.", shell_complete=names.servers)
@click.option("--state", type=click.Choice(STATES), help="Only grants that stand so.")
@click.option("--source", type=click.Choice(("file", "store")), help="Only grants of this source.")
@click.option("--label", metavar="GLOB", help="Only labels like this; * stands for any text.")
@options.limit
@options.reached()
@options.as_json
def list_grants(limit: int, where: Where, as_json: bool, **wanted: str | None) -> int:
    """List grants by label: those issued here and those of the servers file."""
    query = {name: value for name, value in wanted.items() if value is not None}
    items, rest = reach_of(where).pages("/grants", query, limit)
    none = "no grant is like that" if query else "there are no grants; `coatcheck grant issue` makes one"
    show.put_page(_COLUMNS, [_row(item) for item in items], items, rest, as_json, none)
    return Exit.DONE


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    used = item.get("last_used")
    return (
        item["label"],
        item["subject"],
        words_of(item["servers"]),
        item["state"],
        since.local(item["expires_at"]) or "never",
        since.local(used["at"]) if used else "never",
        item["source"],
    )


def words_of(names_or_none: list[str] | None) -> str:
    """Return a scope in words; None is everything."""
    return "all" if names_or_none is None else " ".join(names_or_none) or "none"


@click.command(
    "show", short_help="Show one grant.", epilog=options.example("coatcheck grant show alice-laptop")
)
@click.argument("grant", shell_complete=names.grants)
@options.reached()
@options.as_json
def show_grant(grant: str, where: Where, as_json: bool) -> int:
    """Show GRANT, by label or id: what it reaches, how it stands, when and by which clients it was used."""
    reach = reach_of(where)
    with unknown_object(reach, "grants", grant, "label"):
        found = reach.get(at("grants", grant))
    if as_json:
        show.put_json(found)
        return Exit.DONE
    show.put_members(
        {
            "grant": found["label"],
            "id": found["id"],
            "subject": found["subject"],
            "servers": words_of(found["servers"]),
            "tools": words_of(found["tools"]),
            "source": found["source"],
            "state": found["state"],
            "issued": _by(found["issued_at"], found["issued_by"]),
            "expires": since.local(found["expires_at"]) or "never",
            "revoked": _by(found["revoked_at"], found["revoked_by"]),
            "because": found["because"],
            "to be claimed until": since.local(found["claim_until"]),
            "old token until": since.local(found["overlap_until"]),
            "note": found["note"],
            "last used": _seen(found["last_used"]),
        }
    )
    for each in found["clients"]:
        show.put(f"client: {show.clean_line(_seen(each))}")
    return Exit.DONE


def _by(time: str | None, name: str) -> str:
    return f"{since.local(time)} by {name}" if time and name else since.local(time)


def _seen(seen: Mapping[str, Any] | None) -> str:
    if seen is None:
        return "never"
    return (
        f"{since.local(seen['at'])} from {seen['address']}, {seen['client'] or 'a client that gave no name'}"
    )
