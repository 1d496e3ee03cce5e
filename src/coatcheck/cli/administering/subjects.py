"""`coatcheck subject add`, `list`, `show` and `change`."""

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
from coatcheck.model.subject import SubjectKind

_KINDS: Final = tuple(each.value for each in SubjectKind)
_COLUMNS: Final = ("SUBJECT", "KIND", "ROLES", "STATE", "GRANTS", "SOURCE", "NOTE")
_role = click.option("--role", "roles", metavar="ROLE", multiple=True, help="A role it has. Repeatable.")


@click.command(
    "add",
    short_help="Add a person or an automation.",
    epilog=options.example("coatcheck subject add nightly-build --kind automation --role ci"),
)
@click.argument("name")
@click.option("--kind", type=click.Choice(_KINDS), default="person", show_default=True, help="What it is.")
@_role
@click.option("--note", help="Words for other operators.")
@options.reached()
@options.as_json
def add(name: str, kind: str, roles: tuple[str, ...], note: str | None, where: Where, as_json: bool) -> int:
    """Add the subject NAME. `coatcheck grant issue --to NAME` does it as well."""
    body: dict[str, Any] = {"name": name, "kind": kind, "roles": sorted(set(roles))}
    answer = reach_of(where).send("POST", "/subjects", body | ({} if note is None else {"note": note}))
    show.put_json(answer) if as_json else show.put(f"added {name}")
    return Exit.DONE


@click.command(
    "list",
    short_help="List those who own grants.",
    epilog=options.example("coatcheck subject list --disabled"),
)
@click.option("--name", metavar="GLOB", help="Only names like this; * stands for any text.")
@click.option("--kind", type=click.Choice(_KINDS), help="Only people, or only automations.")
@click.option("--disabled/--enabled", default=None, help="Only those that are, or that are not.")
@options.limit
@options.reached()
@options.as_json
def list_subjects(
    name: str | None, kind: str | None, disabled: bool | None, limit: int, where: Where, as_json: bool
) -> int:
    """List subjects by name: those added here and those that the servers file names."""
    query = {key: value for key, value in (("name", name), ("kind", kind)) if value is not None}
    if disabled is not None:
        query["disabled"] = str(disabled).lower()
    items, rest = reach_of(where).pages("/subjects", query, limit)
    none = "no subject is like that" if query else "there are no subjects; `coatcheck grant issue` makes them"
    show.put_page(_COLUMNS, [_row(item) for item in items], items, rest, as_json, none)
    return Exit.DONE


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        item["name"],
        item["kind"],
        " ".join(item["roles"]) or "-",
        "disabled" if item["disabled"] else "enabled",
        item["grants"],
        item["source"],
        show.clean_line(item.get("because") or item.get("note") or ""),
    )


@click.command("show", short_help="Show one of them.", epilog=options.example("coatcheck subject show alice"))
@click.argument("name", shell_complete=names.subjects)
@options.reached()
@options.as_json
def show_subject(name: str, where: Where, as_json: bool) -> int:
    """Show the subject NAME and the grants it owns."""
    reach = reach_of(where)
    with unknown_object(reach, "subjects", name):
        found = reach.get(at("subjects", name))
    if as_json:
        show.put_json(found)
        return Exit.DONE
    show.put_members(
        {
            "subject": found["name"],
            "kind": found["kind"],
            "roles": " ".join(found["roles"]),
            "state": "disabled" if found["disabled"] else "enabled",
            "because": found.get("because"),
            "grants": found["grants"],
            "source": found["source"],
            "added": since.local(found.get("created_at")),
            "note": found.get("note"),
        }
    )
    show.say(f"coatcheck: its grants: coatcheck grant list --subject {name}")
    return Exit.DONE


@click.command(
    "change",
    short_help="Change kind, roles or note.",
    epilog=options.example("coatcheck subject change alice --role dev --role admin"),
)
@click.argument("name", shell_complete=names.subjects)
@click.option("--kind", type=click.Choice(_KINDS), help="What it is.")
@_role
@click.option("--no-roles", is_flag=True, help="It has no roles of its own.")
@click.option("--note", help="Words for other operators.")
@options.reached()
@options.as_json
def change(
    name: str,
    kind: str | None,
    roles: tuple[str, ...],
    no_roles: bool,
    note: str | None,
    where: Where,
    as_json: bool,
) -> int:
    """Change the subject NAME. The roles given take the place of those it has."""
    if roles and no_roles:
        raise click.UsageError("--role and --no-roles exclude each other")
    patch: dict[str, Any] = {
        key: value for key, value in (("kind", kind), ("note", note)) if value is not None
    }
    if roles or no_roles:
        patch["roles"] = sorted(set(roles))
    if not patch:
        raise click.UsageError("there is nothing to change: give --kind, --role, --no-roles or --note")
    reach = reach_of(where)
    with unknown_object(reach, "subjects", name):
        version = reach.get(at("subjects", name))["version"]
    answer = reach.send("PATCH", at("subjects", name), patch, version=version)
    show.put_json(answer) if as_json else show.put(f"changed {name}")
    return Exit.DONE
