"""`coatcheck policy explain`: what a call would get, layer by layer, without making it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.completing import names
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.looking.filters import address, moment
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.near import unknown_name
from coatcheck.core.wire import strict
from coatcheck.errors import CallerError

_MEMBERS = {"ip": "address"}


@click.command(
    "explain",
    short_help="Tell what a call would get, and why.",
    epilog=options.example(
        """coatcheck policy explain --subject alice --server stripe --tool refund --args '{"amount": 1}'""",
        "coatcheck policy explain --grant alice-laptop --server wiki --resource file:///notes/a.md",
    ),
)
@click.option("--subject", help="Who would call, with each of its grants.", shell_complete=names.subjects)
@click.option("--grant", help="The grant that would call.", shell_complete=names.grants)
@click.option("--server", required=True, help="The server.", shell_complete=names.servers)
@click.option("--tool", help="A tool, by the server's own name.", shell_complete=names.tools)
@click.option("--prompt", help="A prompt, by the server's own name.")
@click.option("--resource", metavar="URI", help="A resource.")
@click.option("--args", "arguments", metavar="JSON", help="The arguments, an object.")
@click.option("--ip", metavar="ADDRESS", callback=address, help="The address that the call would come from.")
@click.option("--client", metavar="NAME", help="What the client would say of itself.")
@click.option("--at", metavar="TIME", callback=moment, help="When; otherwise now. Limits are those of now.")
@options.reached()
@options.as_json
def explain(where: Where, as_json: bool, **words: Any) -> int:
    """Tell what a call would get now: each layer, each part of each policy that covers it, and why.

    The call is not made and takes nothing of any limit. Exit code 0 whatever the outcome is.
    """
    if (words["subject"] is None) is (words["grant"] is None):
        raise click.UsageError("give --subject or --grant")
    if sum(words[name] is not None for name in ("tool", "prompt", "resource")) != 1:
        raise click.UsageError("give --tool, --prompt or --resource")
    reach = reach_of(where)
    with unknown_name(reach, servers=[words["server"]], tool=words["tool"]):
        items = reach.send("POST", "/access/explain", _body(words))["items"]
    if as_json:
        show.put_list(items)
        return Exit.DONE
    for item in items:
        _tell(item)
    return Exit.DONE


def _body(words: Mapping[str, Any]) -> bytes:
    """Return the request; the arguments go in as they are, so that no number changes on the way."""
    given = {_MEMBERS.get(name, name): word for name, word in words.items() if word is not None}
    given.pop("arguments", None)
    head = json.dumps(given).encode("ascii")
    if words["arguments"] is None:
        return head
    raw: bytes = words["arguments"].encode("utf-8", "surrogateescape")
    try:
        value = strict.read(raw)
    except CallerError as error:
        raise _bad(error.message.replace("the body", "--args")) from None
    if not isinstance(value, dict):
        raise _bad("--args is no object")
    return head[:-1] + b', "arguments": ' + raw + b"}"


def _bad(message: str) -> Stop:
    return Stop(message, exit_code=Exit.USAGE, fix="""give one object in single quotes: '{"amount": 1}'""")


def _tell(item: Mapping[str, Any]) -> None:
    grant = f" with the grant {item['grant']}" if item["grant"] else ""
    show.put_status(item["outcome"], show.clean_line(f"{item['subject']}{grant}: {item['rule']}"))
    show.put("        " + show.clean_line(f"{item['because']}"))
    if item["message"]:
        show.put("        " + show.clean_line(f"the caller is told: {item['message']}"))
    if item["why"]:
        show.put("        " + show.clean_line(f"the tool is taken for: {item['access']} ({item['why']})"))
    for layer in item["layers"]:
        show.put("  " + show.clean_line(f"{layer['called']}: {layer['outcome']} by {layer['rule']}"))
        for step in layer["steps"] or [None]:
            show.put(f"    {words_of_step(step)}" if step else f"    {show.clean_line(layer['because'])}")


def words_of_step(step: Mapping[str, Any]) -> str:
    """Return one part of a policy and what came of it, on one line; `x` is before what denies."""
    told = "; ".join(part for part in (step["truth"], step["because"]) if part)
    mark = "x" if step["denies"] else "-"
    return show.clean_line(f"{mark} {step['rule']} {step['says']}{f': {told}' if told else ''}")
