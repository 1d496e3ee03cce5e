"""`coatcheck sink list` and `test`: how far behind each sink is, and whether its receiver takes entries."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import at

_COLUMNS: Final = ("NAME", "KIND", "STATE", "BEHIND", "SINCE", "DELIVERED", "OPTIONS")
_NONE: Final = "there are no sinks; write [[sinks]] in coatcheck.toml"
_COUNTED: Final = 10_000
_PATIENT_SECONDS: Final = 30.0


@click.command(
    "list",
    short_help="List the sinks, and how far behind each is.",
    epilog=options.example("coatcheck sink list"),
)
@options.reached()
@options.as_json
def list_sinks(where: Where, as_json: bool) -> int:
    """List where copies of the record go, and how many entries each receiver has not got yet."""
    items = reach_of(where).get("/sinks")["items"]
    show.put_page(_COLUMNS, [_row(item) for item in items], items, None, as_json, _NONE)
    for item in items:
        if item["error"] and not as_json:
            show.say(f"coatcheck: {item['name']}: {show.clean_line(item['error'])}")
    return Exit.DONE


@click.command(
    "test", short_help="Send a test entry through a sink.", epilog=options.example("coatcheck sink test siem")
)
@click.argument("name")
@options.reached()
@options.as_json
def test(name: str, where: Where, as_json: bool) -> int:
    """Send an entry of the kind `test` through the sink NAME, and tell whether its receiver took it.

    Exit code 1, with the reason, if it did not.
    """
    answer = reach_of(where).send("POST", at("sinks", name, "test"), {}, within=_PATIENT_SECONDS)
    if as_json:
        show.put_json(answer)
    elif answer["delivered"]:
        show.put(f"{name} took a test entry")
    if not answer["delivered"]:
        show.say_failure(f"{name} did not take a test entry: {show.clean_line(answer['error'])}")
    return Exit.DONE if answer["delivered"] else Exit.NO


def _row(item: Mapping[str, Any]) -> tuple[str, ...]:
    behind = int(item["lag"])
    told = " ".join(f"{name}={value}" for name, value in item["options"].items())
    return (
        item["name"],
        item["kind"],
        "failing" if item["error"] else "ok",
        f"{behind}" if behind < _COUNTED else f"{behind} or more",
        since.local(item["behind_since"]) if item["behind_since"] else "-",
        str(item["delivered"]),
        show.clean_line(told) or "-",
    )
