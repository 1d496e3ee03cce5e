"""`coatcheck server change`: changes how a registered server is reached, and what it allows of itself."""

from __future__ import annotations

import os
from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.material import Materials, values_of
from coatcheck.cli.administering.servers.adding import put_added
from coatcheck.cli.administering.servers.allowing import allowing, members_of
from coatcheck.cli.administering.servers.looking_after import upkeep, upkeep_of
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_object
from coatcheck.cli.reaching.reach import at


@click.command(
    "change",
    short_help="Change how a server is reached, and its default.",
    epilog=options.example(
        "coatcheck server change github --header 'Authorization: Bearer @env:NEW_TOKEN'",
        "coatcheck server change github --default read-only --approve 'get_*' --approve 'list_*'",
    ),
)
@click.argument("name", shell_complete=names.servers)
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", "server_url", metavar="URL", help="Its new address.")
@click.option("--transport", type=click.Choice(("http", "sse")), help="Its transport.")
@click.option(
    "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A secret header. Repeatable."
)
@click.option("--plain-header", metavar="'NAME: VALUE'", multiple=True, help="A header that may be shown.")
@click.option("--no-header", metavar="NAME", multiple=True, help="A header to take away. Repeatable.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A secret variable. Repeatable.")
@click.option("--plain-env", metavar="NAME=VALUE", multiple=True, help="A variable that may be shown.")
@click.option("--no-env", metavar="NAME", multiple=True, help="A variable to take away. Repeatable.")
@click.option("--cwd", metavar="DIR", help="The directory that the command runs in.")
@click.option("--note", help="Words for other operators.")
@allowing
@click.option("--approve-all", is_flag=True, help="Its default is for all its tools again.")
@click.option(
    "--trusted/--no-trusted", default=None, help="Whether to believe it which of its tools only read."
)
@upkeep
@click.option("--no-probe", is_flag=True, help="It has no probe any more.")
@options.reached(gateway_only=True)
@options.as_json
def change(name: str, where: Where, as_json: bool, **words: Any) -> int:
    """Change the server NAME; what is not given stays. VALUES are read as `coatcheck server add` reads them.

    New calls use it as it is now, and those under way end as they began. With -- and a COMMAND, the command
    of a child process is changed. A new secret is in use at once, and no server is asked about it first: for
    that there is `coatcheck credential rotate`. --default, --approve (all globs that hold from now on) and
    --trusted are in force for the next request, and end no call.
    """
    patch, plain, notes = _patch(words)
    if kept := upkeep_of(words):
        patch["upkeep"] = kept
    patch.update(members_of(words))
    reach = reach_of(where)
    with unknown_object(reach, "servers", name):
        now = reach.get(at("servers", name))
    if plain is not None:
        patch["plain"] = sorted({*now.get("plain", {}), *plain} - _hidden(patch, plain))
    if not patch:
        raise click.UsageError("there is nothing to change")
    with show.waiting("connecting, and asking for its tools"):
        answer = reach.send("PATCH", at("servers", name), patch, version=now["revision"])
    if as_json:
        show.put_json(answer)
    else:
        put_added(f"changed {name}", answer)
        if answer["credentials"]:
            show.put(f"credentials that changed with it, unverified: {', '.join(answer['credentials'])}")
    for note in notes:
        show.say(f"coatcheck: {note}")
    return Exit.DONE


def _patch(words: dict[str, Any]) -> tuple[dict[str, Any], list[str] | None, list[str]]:
    """Return the members to change, the names that may be shown if values are given, and notes."""
    values = Materials(os.environ)
    headers, plain_headers, notes = values_of(
        values.header, words["headers"], words["plain_header"], "header"
    )
    env, plain_env, more = values_of(values.variable, words["env"], words["plain_env"], "variable")
    patch: dict[str, Any] = {
        key: value
        for key, value in (
            ("url", words["server_url"]),
            ("transport", words["transport"]),
            ("cwd", words["cwd"]),
            ("note", words["note"]),
        )
        if value is not None
    }
    if words["command"]:
        patch["command"], *patch["args"] = words["command"]
    for member, given, gone in (("headers", headers, words["no_header"]), ("env", env, words["no_env"])):
        if given or gone:
            patch[member] = {**given, **dict.fromkeys(gone)}
    given_any = bool(headers or env)
    return patch, [*plain_headers, *plain_env] if given_any else None, [*notes, *more]


def _hidden(patch: dict[str, Any], plain: list[str]) -> set[str]:
    """Return the names that are given anew as secret ones, or are taken away."""
    return {name for member in ("headers", "env") for name in patch.get(member, {}) if name not in plain}
