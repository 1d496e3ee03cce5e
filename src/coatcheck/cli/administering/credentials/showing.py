"""`coatcheck credential list` and `show`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.administering.credentials.rotating import reach_credential
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of

STATES: Final = ("ok", "due", "overdue", "failing", "lacking", "reconnect")
CUSTODIES: Final = ("store", "env", "file", "literal")
"""Those of `model.credential.Custody` and `operations.credentials.views.CredentialState`."""
_COLUMNS: Final = ("CREDENTIAL", "STATE", "KEPT IN", "VERSION", "SINCE", "DUE", "USED BY")
_VERSION_COLUMNS: Final = (
    "VERSION",
    "STAGE",
    "PRINT",
    "MADE",
    "ASSURANCE",
    "ACTIVE SINCE",
    "EXPIRES",
    "IN USE",
)


@click.command(
    "list",
    short_help="List credentials and how they stand.",
    epilog=options.example(
        "coatcheck credential list --state failing", "coatcheck credential list 'github-*'"
    ),
)
@click.argument("glob", required=False)
@click.option("--state", type=click.Choice(STATES), help="Only those that stand so.")
@click.option("--server", help="Only those that this server uses.", shell_complete=names.servers)
@click.option("--custody", type=click.Choice(CUSTODIES), help="Only those whose value is kept there.")
@click.option("--owner", help="Only those of this owner.", shell_complete=names.subjects)
@options.limit
@options.reached()
@options.as_json
def list_credentials(glob: str | None, limit: int, where: Where, as_json: bool, **wanted: str | None) -> int:
    """List the credentials by name, those that the servers file gives among them; never their values.

    GLOB narrows it to names like it; * stands for any text.
    """
    query = {name: value for name, value in {"name": glob, **wanted}.items() if value is not None}
    items, rest = reach_of(where).pages("/credentials", query, limit)
    none = (
        "no credential is like that"
        if query
        else "there are no credentials; `coatcheck server add` makes them"
    )
    show.put_page(_COLUMNS, [_row(item) for item in items], items, rest, as_json, none)
    return Exit.DONE


def active_of(item: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the version in use, if there is one."""
    return next((one for one in item["versions"] if one["stage"] == "active"), None)


def servers_of(item: Mapping[str, Any]) -> str:
    """Return the names of the servers that use a credential."""
    return show.clean_line(" ".join(dict.fromkeys(str(use["server"]) for use in item["used_by"])))


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    active = active_of(item)
    return (
        item["name"],
        item["state"],
        item["kind"] if item["kind"] == "oauth" else item["custody"],
        active["number"] if active else None,
        _day(active["activated_at"] or active["made_at"]) if active else None,
        _day(item["due_at"]) or "never",
        servers_of(item),
    )


def _day(time: str | None) -> str:
    return since.local(time).partition(" ")[0]


@click.command(
    "show",
    short_help="Show one credential with its versions.",
    epilog=options.example("coatcheck credential show github-authorization"),
)
@click.argument("name", shell_complete=names.credentials)
@options.reached()
@options.as_json
def show_credential(name: str, where: Where, as_json: bool) -> int:
    """Show the credential NAME: how it stands, who uses it, and its versions; never a value.

    Equal prints mean equal values. A value is shown by no command: `coatcheck credential rotate` replaces it.
    """
    found = reach_credential(reach_of(where), name)
    if as_json:
        show.put_json(found)
        return Exit.DONE
    show.put_members(_members(found))
    for use in found["used_by"]:
        show.put(f"used by: {show.clean_line(str(use['server']))}, {show.clean_line(str(use['place']))}")
    for warning in found["warnings"]:
        show.say(f"coatcheck: {show.clean_line(str(warning))}")
    if found["versions"]:
        show.put("")
        show.put_table(_VERSION_COLUMNS, [_version_row(one) for one in found["versions"]])
    return Exit.DONE


def _members(found: Mapping[str, Any]) -> dict[str, Any]:
    active, oauth = active_of(found), found["oauth"] or {}
    refused = active["refused_at"] if active else None
    interval = found["interval_days"]
    return {
        "credential": found["name"],
        "id": found["id"],
        "state": found["state"],
        "kept in": found["custody"],
        "kind": found["kind"],
        "owner": found["owner"],
        "interval": "never" if interval is None else f"{interval} days",
        "due": since.local(found["due_at"]),
        "expires": since.local(found["expires_at"]),
        "refused": f"{since.local(refused)} by {active['refused_by']}" if active and refused else "",
        "on refusal": found["on_refusal"],
        "added": f"{since.local(found['created_at'])} by {found['created_by']}",
        "note": found["note"],
        "OAuth": oauth.get("grant_type"),
        "for": oauth.get("resource"),
        "issuer": oauth.get("issuer"),
        "client": oauth.get("client_id"),
        "scopes": " ".join(oauth.get("scopes") or ()),
        "reconnect": oauth.get("reconnect"),
    }


def _version_row(one: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        one["number"],
        one["stage"],
        one["print"],
        f"{since.local(one['made_at'])} {one['made_by']}",
        one["assurance"],
        since.local(one["activated_at"]),
        since.local(one["expires_at"]),
        one["in_use"] or "",
    )
