"""Groups whose commands are imported when one is asked for: starting up must cost little."""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from typing import Any

import click
from click.core import ParameterSource


class LazyGroup(click.Group):
    """A group that knows its commands by name, in the order people need them.

    `places` holds, by name, "module:attribute" below `coatcheck.cli`, and what the group's help says of the
    command, so that this help imports none of them.
    """

    def __init__(self, *args: Any, places: Mapping[str, tuple[str, str]], **attributes: Any) -> None:
        super().__init__(*args, **attributes)
        self.places = places

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(self.places)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name, or return None."""
        if cmd_name not in self.places:
            return None
        module, attribute = self.places[cmd_name][0].split(":")
        command: click.Command = getattr(importlib.import_module(f"coatcheck.cli.{module}"), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the words name; for one that there is none of, name those close to it."""
        if args[0] not in self.places and not args[0].startswith("-") and not ctx.resilient_parsing:
            near = difflib.get_close_matches(args[0], self.places, n=3)
            hint = f" Did you mean {' or '.join(near)}?" if near else ""
            raise click.UsageError(f"No such command '{args[0]}'.{hint}", ctx)
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the list of commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, told) for name, (_, told) in self.places.items()])


def refuse_before(context: click.Context) -> None:
    """Refuse options of a command before the name of one below it, which would not hear them.

    Raises:
        click.UsageError: there is one.
    """
    for parameter in context.command.params:
        if context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} belongs after `{context.invoked_subcommand}`")
