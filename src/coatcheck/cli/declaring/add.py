"""`coatcheck add`: declares a server in the servers file, with its credential or a reference to it."""

from __future__ import annotations

import os
import stat
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.declaring import edits
from coatcheck.cli.declaring.edits import Uptake
from coatcheck.cli.declaring.entries import Entry, Words, entry_of
from coatcheck.cli.declaring.given import wrong
from coatcheck.cli.options import Where
from coatcheck.core.names import full
from coatcheck.declared.edit import Edited, add_server

_TRANSPORTS: Final = ("http", "sse")


@click.command(
    "add",
    short_help="Add a server to the servers file.",
    epilog=options.example(
        "coatcheck add sentry --url https://mcp.sentry.dev/mcp --header 'Authorization: Bearer @env:TOKEN'",
        "coatcheck add time -- uvx mcp-server-time",
    ),
)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", metavar="URL", help="The address of a remote server.")
@click.option("--transport", type=click.Choice(_TRANSPORTS), help="Its transport; found out if not given.")
@click.option("--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A header. Repeatable.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A variable of the command. Repeatable.")
@click.option("--cwd", metavar="DIR", help="The directory that the command runs in.")
@click.option("--replace", is_flag=True, help="Change how the server is reached, if there is one.")
@options.where
@options.as_json
def add(name: str, replace: bool, where: Where, as_json: bool, **reach: Any) -> int:
    """Add the server NAME to the servers file: with --url, or with -- and the COMMAND of a child process.

    A VALUE may be @FILE or @env:VARIABLE, which the servers file then refers to, or @- for standard input.
    Everything else in the file stays as it is, comments included. A running gateway follows at once.
    """
    if name.startswith("-"):
        raise wrong("a name that begins with a hyphen is an option to other commands", "choose another name")
    entry = entry_of(name, Words(**reach), os.environ)
    config = options.load(where)
    with edits.failing_well(name):
        file = edits.file_to_edit(config)
        edited = add_server(file, name, entry.members, edits.sources(), replace=replace)
    uptake = edits.ask_gateway(config, edited)
    address = config.public_url or uptake.address or f"http://{config.http}"
    told = {
        "server": name,
        "file": str(edited.file),
        "change": "added" if edited.kept is None else "replaced",
        "live": uptake.live,
        "route": f"/mcp/{name}/",
        "url": f"{address}/mcp/{name}/",
        "client": _client_line(name, f"{address}/mcp/{name}/", edited),
    }
    show.put_json(told) if as_json else _put(told, uptake)
    for note in _notes(entry, edited):
        show.say(f"coatcheck: {note}")
    edits.say_oddities(edited, uptake)
    return uptake.exit_code


def _client_line(name: str, url: str, edited: Edited) -> str:
    """Return the line that connects Claude Code, whose form of it the others have come to know."""
    line = f"claude mcp add --scope user --transport http {name} {url}"
    if not edited.declaration.identity.providers:
        return line  # callers are anonymous
    return line + " --header 'Authorization: Bearer ${COATCHECK_GRANT}'"


def _put(told: dict[str, Any], uptake: Uptake) -> None:
    preposition = "to" if told["change"] == "added" else "in"
    show.put(f"{told['change']} {told['server']} {preposition} {told['file']}")
    if not uptake.is_odd:
        show.put(uptake.words)
    show.put(f"route:  {told['route']}, and on /mcp as {full(told['server'], 'TOOL')}")
    show.put(f"client: {told['client']}")


def _notes(entry: Entry, edited: Edited) -> list[str]:
    notes = list(entry.notes)
    notes += [f"{each.message} ({each.fix})" if each.fix else each.message for each in edited.notices]
    if edited.kept:
        notes.append(f"left as it was in its entry: {', '.join(edited.kept)}")
    mode = stat.S_IMODE(edited.file.stat().st_mode)
    if entry.is_kept and mode & (stat.S_IRGRP | stat.S_IROTH):
        notes.append(f"the file holds a credential, and other accounts can read it: chmod 600 {edited.file}")
    return notes
