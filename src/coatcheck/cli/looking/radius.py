"""`coatcheck blast-radius`: all that a credential or a grant touched, for the day it has leaked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.looking import filters
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.gateway import record_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import WHOLE_SECONDS, Reach, at

_PATH: Final = "/records/blast-radius"
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
@click.option(
    "--version", type=click.IntRange(0, filters.MOST_VERSION), help="With --credential: of one version of it."
)
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
    with record_of(where, options.load(where)) as reach:
        found = reach.get(_PATH, query, within=WHOLE_SECONDS)
        if found["whole"] is None:
            _require_known(reach, query)
    if as_json or not show.is_terminal():
        show.put_json(found)
    elif found["whole"] is not None:
        _put(found)
    if found["whole"] is None:
        kind, name = _named(query)
        show.say(f"coatcheck: the record tells of no call with the {kind} {name!r}{_within(query)}")
    return Exit.DONE


def _named(query: Mapping[str, str]) -> tuple[str, str]:
    kind = "credential" if "credential" in query else "grant"
    return kind, query[kind]


def _within(query: Mapping[str, str]) -> str:
    version = f", version {query['version']}" if "version" in query else ""
    return f"{version}, since {query['since']}" if "since" in query else version


def _require_known(reach: Reach, query: Mapping[str, str]) -> None:
    """Refuse a name that nobody ever had here: that it touched nothing would look like good news.

    Raises:
        Stop: there is none of this name, or no such version of it, and never was.
    """
    kind, name = _named(query)
    try:
        shown = reach.get(at(f"{kind}s", name))
    except ApiRefusal as refusal:
        if refusal.status == 404 and not _is_told_of(reach, query):
            with unknown_object(reach, f"{kind}s", name, "name" if kind == "credential" else "label"):
                raise
        return
    last = max((int(one["number"]) for one in shown.get("versions", ())), default=None)
    if "version" in query and last is not None and int(query["version"]) > last:
        words = f"credential {name!r} has no version {query['version']}"
        raise Stop(words, exit_code=Exit.NO, fix=f"its newest is {last}")


def _is_told_of(reach: Reach, query: Mapping[str, str]) -> bool:
    """Tell whether one of this name was there before: made or ended by somebody, or used at any time."""
    kind, name = _named(query)
    try:
        if reach.get("/changes", {"kind": kind, "object": name, "limit": "1"})["items"]:
            return True
    except ApiRefusal as refusal:
        if refusal.status != 403:
            raise
    if query.keys() == {kind}:
        return False
    return reach.get(_PATH, {kind: name}, within=WHOLE_SECONDS)["whole"] is not None


def _put(found: Mapping[str, Any]) -> None:
    calls, first, last, outcomes = _cells(found["whole"])
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
