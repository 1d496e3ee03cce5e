"""`coatcheck access`: who may call what, and through which rule, before anybody calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_name
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, Reach

_COLUMNS: Final = ("SUBJECT", "GRANT", "SERVER", "TOOL", "ACCESS", "RULE", "BECAUSE")


@click.command(
    "access",
    short_help="Who may call what, and through which rule.",
    epilog=options.example(
        "coatcheck access --subject alice",
        "coatcheck access --server github --tool delete_repository",
    ),
)
@click.option("--subject", help="What this subject may call.", shell_complete=names.subjects)
@click.option(
    "--server",
    help="Who may call this server's tools; with --subject, only them.",
    shell_complete=names.servers,
)
@click.option("--tool", help="Only this tool, by the server's own name for it.", shell_complete=names.tools)
@click.option("--allowed", is_flag=True, help="Only what may be called.")
@options.reached()
@options.as_json
def access(
    subject: str | None, server: str | None, tool: str | None, allowed: bool, where: Where, as_json: bool
) -> int:
    """Show who may call what: for each grant and tool the decision that a call would get, and the rule.

    Give --subject, or --server with --tool, or all three.
    """
    if subject is None and server is None:
        raise click.UsageError("give --subject NAME, or --server NAME with --tool NAME")
    if tool is not None and server is None:
        raise click.UsageError("--tool is by the server's own name for it, and so needs --server")
    asked = {"subject": subject, "server": server, "tool": None if subject else tool}
    query = {name: value for name, value in asked.items() if value is not None}
    reach = reach_of(where)
    with unknown_name(reach, servers=[server] if server else [], tool=tool):
        rows, failing = _read(reach, query)
    items = [item for item in rows if (item["allowed"] or not allowed) and tool in {None, item["tool"]}]
    if as_json:
        show.put_list(items, failing=failing)
    elif items:
        show.put_table(_COLUMNS, [_row(item) for item in items])
    else:
        show.say(f"coatcheck: {_nothing(rows, failing, subject)}")
    if subject is not None and items and all(not item["grant"] for item in items) and not as_json:
        name = show.clean_line(subject)
        show.say(f"coatcheck: {name} has no grant in force: this is what one for every server would allow")
    for each in failing:
        show.say(
            f"coatcheck: the tools of {each['server']!r} are not known: {show.clean_line(each['error'])}"
        )
    return Exit.DONE


def _nothing(rows: Sequence[Any], failing: Sequence[Any], subject: str | None) -> str:
    """Say why there is nothing to show."""
    if rows:
        return "nothing of this may be called"
    if failing:
        return "nothing is known to judge"
    if subject is not None:
        return "there are no tools to judge; `coatcheck server list` shows the servers"
    return "there are no grants in force to judge; `coatcheck grant list` shows all"


def _read(reach: Reach, query: dict[str, str]) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Return all rows, and the servers whose tools nobody knows."""
    answer = reach.get("/access", query, within=PATIENT_SECONDS)
    rows, failing = list(answer["items"]), list(answer["failing"])
    while answer["next"] is not None:
        answer = reach.get("/access", {**query, "after": answer["next"]}, within=PATIENT_SECONDS)
        rows += answer["items"]
    return rows, failing


def _row(item: Mapping[str, Any]) -> tuple[Any, ...]:
    return (
        *(show.clean_line(str(item.get(name) or "-")) for name in ("subject", "grant", "server", "tool")),
        "allowed" if item["allowed"] else "denied",
        *(show.clean_line(str(item.get(name) or "-")) for name in ("rule", "because")),
    )
