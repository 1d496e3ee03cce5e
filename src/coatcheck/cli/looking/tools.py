"""`coatcheck tools`: what the servers offer, and which of them could not be asked."""

from __future__ import annotations

from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.gateway import gateway_of
from coatcheck.cli.reaching.near import unknown_server
from coatcheck.cli.reaching.reach import PATIENT_SECONDS

_DESCRIPTION_CHARS: Final = 160


@click.command(
    "tools",
    short_help="List the tools of the servers.",
    epilog=options.example("coatcheck tools sentry --data state"),
)
@click.argument("server", required=False)
@options.where
@options.far
@options.as_json
def list_tools(server: str | None, where: Where, as_json: bool) -> int:
    """List the tools of SERVER, or of every server, with their arguments.

    ACCESS tells whether a tool is taken for reading or writing; ambiguous ones are taken for writing. BY
    DEFAULT is what the server's default makes of calls for grants without a policy of their own. Required
    arguments are marked with a star. With --json, each tool has its whole input schema. With no gateway
    running, the servers are started for this one command.
    """
    with gateway_of(where, options.load(where)) as reach:
        try:
            query = {"server": server} if server is not None else {}
            answer = reach.get("/tools", query, within=PATIENT_SECONDS)
        except ApiRefusal as refusal:
            if refusal.status == 404 and server is not None:
                raise unknown_server(reach, server) or refusal from None
            raise
    items, failing = answer["items"], answer.get("failing") or []
    if as_json:
        show.put_list(items, failing=failing)
    elif items:
        show.put_table(
            ("SERVER", "TOOL", "ACCESS", "BY DEFAULT", "ARGUMENTS", "DESCRIPTION"),
            [_row(item) for item in items],
        )
    if not items and not failing:
        show.say(
            "coatcheck: there are no tools; `coatcheck list` shows the servers, `coatcheck server add` and "
            "`coatcheck add` add one"
        )
    for each in failing:
        show.say(f"coatcheck: server {each['server']!r} does not answer: {show.clean_line(each['error'])}")
    if failing and not items:
        raise Stop(
            "no tools could be listed",
            exit_code=Exit.UNREACHABLE,
            fix="`coatcheck list` shows the state of each server, `coatcheck doctor` what to do",
        )
    return Exit.DONE


def arguments_of(schema: Any) -> str:
    """Return the names of a tool's arguments, required ones with a star; whatever the schema holds."""
    properties = schema.get("properties") if isinstance(schema, dict) else None
    if not isinstance(properties, dict):
        return ""
    required = schema.get("required")
    starred = {name for name in required if isinstance(name, str)} if isinstance(required, list) else set()
    return " ".join(
        f"{show.clean_line(name)}*" if name in starred else show.clean_line(name) for name in properties
    )


def _row(item: dict[str, Any]) -> tuple[str, ...]:
    words = show.shorten(item.get("description") or item.get("title") or "", _DESCRIPTION_CHARS)
    arguments = arguments_of(item.get("input_schema"))
    taken = item.get("access") or "", item.get("by_default") or ""
    return item["server"], show.clean_line(item["name"]), *taken, arguments, words
