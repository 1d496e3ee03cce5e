"""What a grant is to be, read from options or from a row of a CSV file, as the API takes it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import click

from coatcheck.cli.completing import names
from coatcheck.cli.options import Command, Expiry

ALL: Final = "all"


def scope(command: Command) -> Command:
    """Give a command `--server`, `--all` and `--tools`, which say what a grant reaches."""
    for option in reversed(
        (
            click.option(
                "--server",
                "servers",
                metavar="NAME",
                multiple=True,
                help="A server that it reaches. Repeatable.",
                shell_complete=names.servers,
            ),
            click.option("--all", "every", is_flag=True, help="It reaches every server, later ones too."),
            click.option(
                "--tools",
                metavar="GLOB",
                multiple=True,
                help="Only tools like this, as server__tool; * stands for any text. Repeatable.",
            ),
        )
    ):
        command = option(command)
    return command


def servers_of(servers: Sequence[str], every: bool) -> list[str] | None:
    """Return the servers as the API takes them: None for every one.

    Raises:
        click.UsageError: both ways of saying it, or neither.
    """
    if servers and every:
        raise click.UsageError("--server and --all exclude each other")
    if not servers and not every:
        raise click.UsageError("say what it reaches: --server NAME (repeatable), or --all")
    return None if every else list(dict.fromkeys(servers))


def body_of(
    label: str,
    subject: str,
    servers: list[str] | None,
    tools: Sequence[str],
    expires: Expiry,
    note: str,
    by_claim: bool,
    policy: str,
) -> dict[str, Any]:
    """Return one grant as `POST /grants` takes it."""
    return {
        "label": label,
        "subject": subject,
        "servers": servers,
        "tools": list(tools) or None,
        **expires.member(),
        "note": note,
        "by_claim": by_claim,
        **({"policy": policy} if policy else {}),
    }
