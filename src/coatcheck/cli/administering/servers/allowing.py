"""What a server allows of itself: the options that say so, and which of its tools callers then may use."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from coatcheck.cli import show
from coatcheck.cli.administering.outcomes import counted
from coatcheck.cli.options import Command

DEFAULTS: Final = ("allow-all", "read-only", "deny-all")
_NAMED: Final = 20
_OWN: Final = frozenset({"(approved)", "(no policy)"})
_WORDS: Final = {"allowed": "allows", "denied": "denies", "hidden": "hides"}


def allowing(command: Command) -> Command:
    """Give a command `--default` and `--approve`; `members_of` makes members of a body of them."""
    for option in (
        click.option(
            "--approve",
            metavar="GLOB",
            multiple=True,
            help="The default is for tools whose name matches, others are hidden. Repeatable.",
        ),
        click.option(
            "--default",
            type=click.Choice(DEFAULTS),
            help="What is allowed where no policy is used on it or on a grant.",
        ),
    ):
        command = option(command)
    return command


def members_of(words: Mapping[str, Any]) -> dict[str, Any]:
    """Return what the options say, empty if nothing. `approve_all` takes the narrowing away.

    Raises:
        click.UsageError: the words exclude each other.
    """
    found: dict[str, Any] = {}
    if words["default"] is not None:
        found["default"] = words["default"]
    if words["approve"]:
        found["approved"] = list(words["approve"])
    if words.get("approve_all"):
        if words["approve"]:
            raise click.UsageError("--approve and --approve-all exclude each other")
        found["approved"] = None
    if words["trusted"] is not None:
        found["trusted"] = words["trusted"]
    return found


def default_in_words(server: Mapping[str, Any]) -> str:
    """Return the default of a server, and that it is narrowed."""
    narrowed = server.get("approved") is not None
    return f"{server.get('default') or ''}{', narrowed' if narrowed else ''}"


def put_tools(server: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> None:
    """Print which tools of a server its default allows, hides and cannot classify, and how to change that."""
    own = default_in_words(server)
    policy = next((name for one in tools if (name := _policy(one)) not in {*_OWN, server["default"]}), None)
    show.put(f"default: {own}" if policy is None else f"used on it: the policy {policy} (default: {own})")
    for outcome, word in _WORDS.items():
        for ambiguous in (False, True):
            found = [
                show.clean_line(str(one["name"]))
                for one in tools
                if one["by_default"] == outcome and (one["access"] == "ambiguous") is ambiguous
            ]
            if found:
                what = f"{counted(len(found), 'tool')}{' that cannot be classified' if ambiguous else ''}"
                show.put(f"{word} {what}: {_names(found)}")
    if not tools:
        show.put("it offers no tools")
    elif policy is None and any(one["by_default"] == "hidden" for one in tools):
        _put_ways(server, tools)


def _policy(tool: Mapping[str, Any]) -> str:
    return str(tool["default_rule"]).partition(":")[0]


def _names(found: Sequence[str]) -> str:
    more = f", and {len(found) - _NAMED} more" if len(found) > _NAMED else ""
    return ", ".join(found[:_NAMED]) + more


def _put_ways(server: Mapping[str, Any], tools: Sequence[Mapping[str, Any]]) -> None:
    """Print the ways to allow what is hidden, as far as they lead anywhere."""
    change = f"coatcheck server change {server['name']}"
    if any(one["default_rule"] == "(approved)" for one in tools):
        show.put(f"to approve more: {change} --approve GLOB, with all that hold; or --approve-all")
    if any(_policy(one) == server["default"] and one["by_default"] == "hidden" for one in tools):
        show.put(f"to allow all: {change} --default allow-all")
        show.put("to allow some: a policy that names them, and coatcheck policy use")
    if not server["trusted"] and server["default"] == "read-only":
        show.put(f"if it says truly which of its tools only read (readOnlyHint): {change} --trusted")
