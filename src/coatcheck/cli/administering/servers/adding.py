"""`coatcheck server add`: registers a server with the running gateway, which connects to it at once."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.terms import oauth, oauth_of
from coatcheck.cli.administering.material import Materials, refuse_foreign, values_of
from coatcheck.cli.administering.servers.allowing import (
    allowing,
    default_in_words,
    members_of,
    put_tools,
)
from coatcheck.cli.administering.servers.looking_after import upkeep, upkeep_of
from coatcheck.cli.declaring.given import wrong
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.core.filling import REFERENCE
from coatcheck.core.names import full

_HOW: Final = "give --url URL for a remote server, or -- and a command for a child process"


@click.command(
    "add",
    short_help="Register a server, and connect to it.",
    epilog=options.example(
        "coatcheck server add github --url https://api.githubcopilot.com/mcp/ \\\\",
        "    --header 'Authorization: Bearer @env:GITHUB_TOKEN'",
        "coatcheck server add time -- uvx mcp-server-time",
    ),
)
@click.argument("name")
@click.argument("command", nargs=-1, type=click.UNPROCESSED)
@click.option("--url", "server_url", metavar="URL", help="The address of a remote server.")
@click.option(
    "--transport", type=click.Choice(("http", "sse")), help="Its transport; found out if not given."
)
@click.option(
    "--header", "headers", metavar="'NAME: VALUE'", multiple=True, help="A secret header. Repeatable."
)
@click.option("--plain-header", metavar="'NAME: VALUE'", multiple=True, help="A header that may be shown.")
@click.option("--env", metavar="NAME=VALUE", multiple=True, help="A secret variable. Repeatable.")
@click.option("--plain-env", metavar="NAME=VALUE", multiple=True, help="A variable that may be shown.")
@click.option("--cwd", metavar="DIR", help="The directory that the command runs in.")
@click.option("--note", help="Words for other operators.")
@allowing
@click.option(
    "--trusted", is_flag=True, default=None, help="Believe it which of its tools only read (readOnlyHint)."
)
@upkeep
@click.option("--oauth", is_flag=True, help="Its tokens come by OAuth; connect its credential afterwards.")
@oauth
@options.reached(gateway_only=True)
@options.as_json
def add(name: str, where: Where, as_json: bool, **words: Any) -> int:
    """Register the server NAME: with --url, or with -- and the COMMAND of a child process.

    A VALUE may be @FILE, @env:VARIABLE or @- (standard input), which are read here and now; it becomes a
    credential, sealed and shown to nobody. ${credential:NAME} names one that there is. The gateway connects
    before this returns, or says why it could not. Without --default, callers may use what reads, and what
    writes or cannot be classified is hidden.
    """
    body, notes = body_of(words, is_here=where.url is None)
    terms = oauth_of(words, words["oauth"])
    if terms is not None:
        refuse_foreign("a command", {"--oauth": "command" in body})
        body["oauth"] = terms
    if kept := upkeep_of(words):
        body["upkeep"] = kept
    body.update(members_of(words))
    reach = reach_of(where)
    with show.waiting("connecting, and asking for its tools"):
        answer = reach.send("POST", "/servers", {"name": name, **body})
    if as_json:
        show.put_json(answer)
    else:
        put_added(f"added {name}", answer)
        put_made(answer["credentials"], terms is not None)
    for note in notes:
        show.say(f"coatcheck: {note}")
    return Exit.DONE


def body_of(words: dict[str, Any], *, is_here: bool) -> tuple[dict[str, Any], list[str]]:
    """Return the members of a request that say how a server is reached, and words for the person.

    `is_here` tells that the gateway is on this machine, so that relative paths can be made whole.

    Raises:
        Stop: the words do not go together, or a value cannot be had.
    """
    values = Materials(os.environ)
    note = {} if words["note"] is None else {"note": words["note"]}
    if words["server_url"] is not None:
        foreign = {"a command": words["command"], "--cwd": words["cwd"]}
        refuse_foreign(
            "a remote server", foreign | {"--env": words["env"], "--plain-env": words["plain_env"]}
        )
        headers, plain, notes = values_of(values.header, words["headers"], words["plain_header"], "header")
        body = {"url": words["server_url"], "headers": headers, "plain": plain, **note}
        return body | ({"transport": words["transport"]} if words["transport"] else {}), notes
    if not words["command"]:
        raise wrong("there is neither --url nor a command", _HOW)
    foreign = {"--transport": words["transport"], "--header": words["headers"]}
    refuse_foreign("a command", foreign | {"--plain-header": words["plain_header"]})
    if words["command"][0].startswith(("http://", "https://")):
        raise wrong("the command is a URL", "write --url before it")
    env, plain, notes = values_of(values.variable, words["env"], words["plain_env"], "variable")
    command, *args = words["command"]
    cwd = words["cwd"]
    if is_here:
        cwd = None if cwd is None else str(Path(cwd).absolute())
        if "/" in command and cwd is None:
            command = str(Path(command).absolute())  # the gateway runs elsewhere
    if any(REFERENCE.search(word) for word in args):
        notes.append("other accounts on the gateway's machine can see the arguments of a command")
    members = {"command": command, "args": args, "env": env, "plain": plain, **note}
    return members | ({} if cwd is None else {"cwd": cwd}), notes


def put_made(credentials: Sequence[str], is_oauth: bool) -> None:
    """Tell which credentials were made for a server, and what to do with them; the last may be of OAuth."""
    values = credentials[:-1] if is_oauth else credentials
    for name in values:
        show.put(f"credential {name}; to give it another value: coatcheck credential rotate {name}")
    if is_oauth:
        show.put(f"credential {credentials[-1]}; next: coatcheck credential connect {credentials[-1]}")


def put_added(what: str, answer: dict[str, Any]) -> None:
    """Print what was added or changed, and what its default makes of its tools."""
    name = str(answer["server"]["name"])
    show.put(what)
    show.put(f"route: /mcp/{name}/, and on /mcp as {full(name, 'TOOL')}")
    tools = answer["tools"]
    if tools is None:
        show.say(f"coatcheck: could not ask it for its tools: {show.clean_line(str(answer['error']))}")
        show.say("fix: it is registered all the same; mend it, then see which of its tools callers may use:")
        show.say(f"  coatcheck server show {name} --tools")
        show.put(f"default: {default_in_words(answer['server'])}")
        return
    put_tools(answer["server"], tools)
