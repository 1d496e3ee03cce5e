"""`coatcheck blast-radius`: all that a credential or a grant touched, for the day it has leaked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking import filters
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import gateway_of
from coatcheck.cli.reaching.reach import WHOLE_SECONDS

_LISTS: Final = (
    ("credentials", "CREDENTIAL"),
    ("servers", "SERVER"),
    ("tools", "SERVER AND TOOL"),
    ("subjects", "SUBJECT"),
    ("grants", "GRANT"),
    ("addresses", "ADDRESS"),
    ("clients", "CLIENT"),
)
_COLUMNS: Final = ("CALLS", "FIRST", "LAST", "OUTCOMES")


@click.command(
    "blast-radius",
    short_help="Tell all that a credential or a grant touched.",
    epilog=options.example(
        "coatcheck blast-radius --credential github-authorization --version 4",
        "coatcheck blast-radius --grant alice-laptop --since 30d",
    ),
)
@click.option("--credential", metavar="NAME", help="Of this credential.", shell_complete=names.credentials)
@click.option("--version", type=click.IntRange(0), help="With --credential: of one version of it.")
@click.option("--grant", metavar="GRANT", help="Of this grant, by id or label.", shell_complete=names.grants)
@click.option(
    "--since", callback=filters.moment, metavar="AGE|TIME", help="Only since then: 30d or RFC 3339."
)
@options.where
@options.far
@options.as_json
def blast_radius(where: Where, as_json: bool, **wanted: Any) -> int:
    """Tell which servers and tools were called with it, by whom, from where, when first and when last.

    What the record tells is used, not what might have been: a call counts if the server was given the
    credential, or if nobody can tell whether it was.
    """
    if (wanted["credential"] is None) == (wanted["grant"] is None):
        raise click.UsageError("say either --credential or --grant")
    if wanted["version"] is not None and wanted["credential"] is None:
        raise click.UsageError("--version needs --credential")
    query = {name: str(value) for name, value in wanted.items() if value is not None}
    with gateway_of(where, options.load(where)) as reach:
        found = reach.get("/records/blast-radius", query, within=WHOLE_SECONDS)
    if as_json or not show.is_terminal():
        show.put_json(found)
    else:
        _put(found)
    return Exit.DONE


def _put(found: Mapping[str, Any]) -> None:
    whole = found["whole"]
    if whole is None:
        show.say("coatcheck: it touched nothing that the record tells of")
        return
    calls, first, last, outcomes = _cells(whole)
    show.put(f"{calls} calls from {first} to {last}: {outcomes}")
    for member, title in _LISTS:
        if found[member]:
            show.put("")
            rows = [(show.clean_line(one["name"]), *_cells(one)) for one in found[member]]
            show.put_table((title, *_COLUMNS), rows)
    if found["left_out"]:
        show.say(f"coatcheck: {found['left_out']} more names are not told; those with the most calls are")


def _cells(one: Mapping[str, Any]) -> tuple[str, str, str, str]:
    outcomes = ", ".join(f"{count} {name}" for name, count in one["outcomes"].items())
    return (str(one["calls"]), since.local(one["first"]), since.local(one["last"]), outcomes)
