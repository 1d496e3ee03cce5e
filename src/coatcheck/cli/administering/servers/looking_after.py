"""How a server's credentials are looked after: the call that tries one, and whether two may run at once."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli.declaring.given import wrong
from coatcheck.cli.options import Command

REPLACE: Final = ("overlap", "restart")
_FORM: Final = 'write it as TOOL or \'TOOL {"name": "value"}\''


def upkeep(command: Command) -> Command:
    """Give a command `--probe` and `--replace`; `upkeep_of` makes a body's member of them."""
    for option in (
        click.option(
            "--replace",
            type=click.Choice(REPLACE),
            help="What happens when a credential changes: two side by side, or the old one ends first.",
        ),
        click.option(
            "--probe",
            metavar="'TOOL {JSON}'",
            help="A call that only a good credential can make; it is made when one is verified.",
        ),
    ):
        command = option(command)
    return command


def upkeep_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say, empty if nothing. `no_probe` takes the probe away.

    Raises:
        Stop: the probe is no tool with an object.
    """
    found: dict[str, Any] = {}
    if words["replace"] is not None:
        found["replace"] = words["replace"]
    if words["probe"] is not None:
        found["probe"] = _probe(words["probe"])
    if words.get("no_probe"):
        if "probe" in found:
            raise click.UsageError("--probe and --no-probe exclude each other")
        found["probe"] = None
    return found


def _probe(text: str) -> dict[str, Any]:
    tool, _, written = text.strip().partition(" ")
    if not tool or tool.startswith("{"):
        raise wrong("the probe names no tool", _FORM)
    try:
        arguments = json.loads(written.strip() or "{}")
    except (ValueError, RecursionError):
        arguments = None
    if not isinstance(arguments, dict):
        raise wrong("the arguments of the probe are no JSON object", _FORM)
    return {"tool": tool, "arguments": arguments}
