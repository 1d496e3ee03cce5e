"""`coatcheck policy list`, `show`, `history` and `diff`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click
import msgspec

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import at
from coatcheck.core.policy.conditions.values import read_exact, write_exact

_COLUMNS: Final = ("POLICY", "VERSION", "STATE", "DEFAULT", "ENTRIES", "USED ON", "CHANGED", "DESCRIPTION")
_VERSIONS: Final = ("VERSION", "WHEN", "BY", "BECAUSE")
_NUMBER: Final = click.IntRange(1)


@click.command(
    "list", short_help="List policies.", epilog=options.example("coatcheck policy list --name 'pay*'")
)
@click.option("--name", metavar="GLOB", help="Only names like this; * stands for any text.")
@click.option("--ended", is_flag=True, help="Those that were removed as well.")
@options.limit
@options.reached()
@options.as_json
def list_policies(name: str | None, ended: bool, limit: int, where: Where, as_json: bool) -> int:
    """List the policies, and those that need no document: allow-all, read-only and deny-all."""
    query = {} if name is None else {"name": name}
    if ended:
        query["ended"] = "true"
    items, rest = reach_of(where).pages("/policies", query, limit)
    show.put_page(_COLUMNS, [_row(item) for item in items], items, rest, as_json, "no policy is like that")
    return Exit.DONE


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    state = "ended" if item["ended_at"] else "active" if item["version"] else "always there"
    return (
        item["name"],
        item["version"] or "-",
        state,
        item["default"],
        item["entries"],
        ", ".join(_words(use) for use in item["uses"][:3]) + (", ..." if len(item["uses"]) > 3 else "")
        or "-",
        since.local(item["at"]) or "-",
        show.shorten(item["description"], 60),
    )


def _words(use: Mapping[str, Any]) -> str:
    if use["kind"] == "everything":
        return "everything"
    narrowed = f" on {use['server']}" if use["server"] else ""
    return show.clean_line(f"{use['kind']} {use['shown']}{narrowed}")


@click.command(
    "show",
    short_help="Show a policy with its document.",
    epilog=options.example("coatcheck policy show caps"),
)
@click.argument("name", shell_complete=names.policies)
@click.option("--version", type=_NUMBER, help="As it was in this version.")
@options.reached()
@options.as_json
def show_policy(name: str, version: int | None, where: Where, as_json: bool) -> int:
    """Show the policy NAME: who changed it last, what it is used on, and its document."""
    reach = reach_of(where)
    with unknown_object(reach, "policies", name):
        if version is None:
            raw = reach.raw(at("policies", name))
        else:
            raw = reach.raw(at("policies", name, "version"), {"number": str(version)})
    found = read_exact(raw)
    if as_json:
        show.put(show.escape_steering(_exact(found)))
        return Exit.DONE
    about = found.get("policy") or found["version"]
    show.put_members(
        {
            "policy": about["name"],
            "version": about.get("version", about.get("number")) or "always there",
            "changed": since.local(about["at"]),
            "by": about["by"],
            "because": about["because"],
            "used on": ", ".join(_words(use) for use in about.get("uses", ())),
        }
    )
    show.put(show.escape_steering(msgspec.json.format(_exact(found["document"]), indent=2)))
    return Exit.DONE


def _exact(value: Any) -> str:
    """Return JSON in which every number stands as it was written."""
    return write_exact(value).decode("utf-8")


@click.command(
    "history",
    short_help="List the versions of a policy.",
    epilog=options.example("coatcheck policy history payments-caps"),
)
@click.argument("name", shell_complete=names.policies)
@options.limit
@options.reached()
@options.as_json
def history(name: str, limit: int, where: Where, as_json: bool) -> int:
    """List the versions of the policy NAME, newest first; also of one that was removed."""
    reach = reach_of(where)
    with unknown_object(reach, "policies", name):
        items, rest = reach.pages(at("policies", name, "versions"), {}, limit)
    rows = [
        (item["number"], since.local(item["at"]), item["by"], show.clean_line(item["because"]) or "-")
        for item in items
    ]
    show.put_page(_VERSIONS, rows, items, rest, as_json, "there are no versions")
    return Exit.DONE


@click.command(
    "diff",
    short_help="Compare two versions of a policy.",
    epilog=options.example("coatcheck policy diff payments-caps 3 5"),
)
@click.argument("name", shell_complete=names.policies)
@click.argument("before", type=_NUMBER, required=False)
@click.argument("after", type=_NUMBER, required=False)
@options.reached()
@options.as_json
def diff(name: str, before: int | None, after: int | None, where: Where, as_json: bool) -> int:
    """Tell what is other in version AFTER of the policy NAME than in BEFORE, place by place.

    Without AFTER it is the newest, without both the newest and the one before it.
    """
    given = {key: str(number) for key, number in (("before", before), ("after", after)) if number is not None}
    reach = reach_of(where)
    with unknown_object(reach, "policies", name):
        found = read_exact(reach.raw(at("policies", name, "diff"), given))
    if as_json:
        show.put(show.escape_steering(_exact(found)))
        return Exit.DONE
    show.put(f"{name}: version {found['before']} -> {found['after']}")
    for one in found["differences"]:
        for sign, key in (("-", "before"), ("+", "after")):
            if key in one:
                show.put(show.escape_steering(f"{sign} {one['where'] or '/'}: {_exact(one[key])}"))
    if not found["differences"]:
        show.put("they say the same")
    return Exit.DONE
