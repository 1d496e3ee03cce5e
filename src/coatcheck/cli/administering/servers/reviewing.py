"""`coatcheck server review` and `accept`: tools that servers changed, and the word of an operator."""

from __future__ import annotations

import hashlib
import shlex
from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import Reach, at

_SHOWN: Final = 20
"""Characters of a digest that are shown, and enough to accept by."""
_MOST: Final = 10_000
_STATES: Final = ("new", "changed", "back", "gone")


@click.command(
    "review",
    short_help="Show tools that servers changed.",
    epilog=options.example("coatcheck server review stripe"),
)
@click.argument("name", required=False, shell_complete=names.servers)
@click.option("--state", type=click.Choice(_STATES), help="Only tools in this state.")
@click.option("--hidden", is_flag=True, help="Only tools that are hidden until they are accepted.")
@options.reached()
@options.as_json
def review(name: str | None, state: str | None, hidden: bool, where: Where, as_json: bool) -> int:
    """Show the tools of the server NAME, or of all, that are not as they were accepted.

    Each comes with what is other, and with the words to accept it by.
    """
    query = {key: value for key, value in (("server", name), ("state", state)) if value is not None}
    items = _waiting(reach_of(where), {**query, "quarantined": "true"} if hidden else query, name)
    by_server = {key: list(found) for key, found in groupby(items, key=lambda item: str(item["server"]))}
    everything = {} if state or hidden else {key: _all_of(found) for key, found in by_server.items()}
    if as_json:
        show.put_list(items, all=everything)
        return Exit.DONE
    if not items:
        show.say("coatcheck: no tool waits to be accepted")
    for server, tools in by_server.items():
        for item in tools:
            _put(item)
        if len(tools) > 1 and server in everything:
            show.put(f"accept all of {server}: coatcheck server accept {server} --all {everything[server]}")
    return Exit.DONE


@click.command(
    "accept",
    short_help="Accept tools as a server changed them.",
    epilog=options.example("coatcheck server accept stripe create_charge=3f2a9c81d0e44c6b7a15"),
)
@click.argument("name", shell_complete=names.servers)
@click.argument("tools", nargs=-1, metavar="TOOL=DIGEST...")
@click.option("--all", "everything", metavar="DIGEST", help="All that waits, as `server review` showed it.")
@options.because
@options.reached()
@options.as_json
def accept(
    name: str, tools: tuple[str, ...], everything: str | None, because: str, where: Where, as_json: bool
) -> int:
    """Accept tools of the server NAME as `coatcheck server review` showed them, by TOOL=DIGEST.

    What was hidden is listed again at once. A tool that was changed once more since is not accepted.
    """
    if bool(tools) is (everything is not None):
        raise Stop(
            "name tools, each as TOOL=DIGEST, or give --all DIGEST",
            exit_code=Exit.USAGE,
            fix="coatcheck server review shows them",
        )
    reach = reach_of(where)
    seen = _seen(tools) if everything is None else _seen_all(reach, name, everything)
    with unknown_object(reach, "servers", name):
        answer = reach.send(
            "POST", at("servers", name, "tools", "accept"), {"tools": seen, "because": because}
        )
    if as_json:
        show.put_list(answer["items"])
        return Exit.DONE
    for item in answer["items"]:
        verb = "forgotten" if item["state"] == "gone" else "accepted"
        show.put(show.clean_line(f"{verb} {item['server']} {item['tool']}"))
    return Exit.DONE


def _waiting(reach: Reach, query: Mapping[str, str], name: str | None) -> list[dict[str, Any]]:
    if name is None:
        return reach.pages("/tools/changes", dict(query), _MOST)[0]
    with unknown_object(reach, "servers", name):
        return reach.pages("/tools/changes", dict(query), _MOST)[0]


def _seen(tools: Iterable[str]) -> dict[str, str]:
    found = {}
    for one in tools:
        tool, equals, digest = one.rpartition("=")
        if not equals or not tool:
            raise Stop(
                f"{one!r} has no digest",
                exit_code=Exit.USAGE,
                fix="write TOOL=DIGEST, as `coatcheck server review` shows it",
            )
        found[tool] = digest
    return found


def _seen_all(reach: Reach, name: str, digest: str) -> dict[str, str]:
    items = _waiting(reach, {"server": name}, name)
    if not items:
        raise Stop(f"no tool of {name} waits to be accepted", exit_code=Exit.NO)
    if _all_of(items) != digest:
        raise Stop(
            f"{name} changed its tools again since they were looked at",
            exit_code=Exit.NO,
            fix=f"look again: coatcheck server review {name}",
        )
    return {str(item["tool"]): str(item["digest"]) for item in items}


def _all_of(items: Sequence[Mapping[str, Any]]) -> str:
    """Return one digest over all tools that wait at a server, as they were shown."""
    lines = sorted(f"{item['tool']}\n{item['state']}\n{item['digest']}\n" for item in items)
    return hashlib.sha256("".join(lines).encode("utf-8", "surrogatepass")).hexdigest()[:_SHOWN]


def _put(item: Mapping[str, Any]) -> None:
    hidden = ", hidden" if item["quarantined"] else ""
    when = since.local(item["since"])
    show.put(show.clean_line(f"{item['server']} {item['tool']}: {item['state']}{hidden}, since {when}"))
    for why in item["why"]:
        show.put(show.clean_line(f"  ! {why}"))
    for one in item["differences"]:
        for sign, key in (("-", "before"), ("+", "after")):
            if one[key] is not None:
                show.put(show.clean_line(f"  {sign} {one['where'] or '/'}: {one[key]}"))
    if item["too_long"]:
        show.put("  the tool is too long to be shown; `coatcheck tools --json` has it as it is listed")
    show.put(show.clean(f"  coatcheck server accept {_words(item)}"))


def _words(item: Mapping[str, Any]) -> str:
    """Return what to accept a tool by, for a shell: a server may choose a name that is a command there."""
    tool = f"{item['tool']}={item['digest'][:_SHOWN]}"
    return shlex.join([item["server"], *(["--"] if tool.startswith("-") else []), tool])
