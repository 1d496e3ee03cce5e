"""Where the value of a credential comes from: a terminal, standard input, a file, a variable; no argument."""

from __future__ import annotations

import functools
import getpass
import os
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import click

from coatcheck.cli.declaring.given import look_into, read_piped, whole_path, wrong
from coatcheck.cli.options import Command
from coatcheck.core.tokens import foreign_kind, looks_like_ours
from coatcheck.model.secret import Secret

_HISTORY: Final = (
    "if this was the secret, it stands in the shell's history and other accounts could see it: have another "
    "made where it comes from"
)
_WAYS: Final = "it is asked for on a terminal, or comes by standard input, --from-file or --from-env"
_LINE_CHARS: Final = 4_095
"""What a terminal gives of one line; it swallows the rest (`N_TTY` of Linux)."""
_LEAST_OF_A_TOKEN: Final = 20


@dataclass(frozen=True, slots=True)
class Origin:
    """What `--from-file` and `--from-env` say; neither: a terminal or standard input."""

    file: str | None = None
    variable: str | None = None

    @property
    def is_said(self) -> bool:
        """Whether one of the options was given."""
        return self.file is not None or self.variable is not None


class GivenApart(click.Command):
    """A command whose secret must not be an argument: one too many is refused, and not repeated."""

    def make_context(
        self, info_name: str | None, args: list[str], parent: click.Context | None = None, **extra: Any
    ) -> click.Context:
        """Parse the arguments, those too many among them."""
        return super().make_context(info_name, args, parent, **{**extra, "allow_extra_args": True})

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command, unless there is an argument too many."""
        if ctx.args:
            raise wrong(f"there is an argument too many, and a secret is never one: {_WAYS}", _HISTORY)
        return super().invoke(ctx)


def origin(command: Command) -> Command:
    """Give a command `--from-file` and `--from-env`; it gets an `Origin`."""

    @click.option("--from-file", metavar="PATH", help="The value is what this file holds.")
    @click.option("--from-env", metavar="VARIABLE", help="The value is in this variable.")
    @functools.wraps(command)
    def with_origin(from_file: str | None, from_env: str | None, **rest: Any) -> Any:
        if from_file is not None and from_env is not None:
            raise click.UsageError("--from-file and --from-env exclude each other")
        return command(origin=Origin(from_file, from_env), **rest)

    return with_origin


def check_name(name: str) -> str:
    """Return a name; one that is a secret itself is refused, and not repeated."""
    if looks_like_ours(name) or (len(name) >= _LEAST_OF_A_TOKEN and foreign_kind(name) is not None):
        raise wrong(f"the name is a secret: {_WAYS}", _HISTORY)
    return name


def material(name: str, origin: Origin) -> Secret:
    """Return the value that a credential is to have.

    Raises:
        Stop: there is none, or it cannot be one.
    """
    if origin.file is not None:
        return look_into(whole_path(origin.file))[0]
    if origin.variable is not None:
        found = os.environ.get(origin.variable)
        if not found:
            raise wrong(f"the variable {origin.variable} is not set here", "set and export it")
        return Secret(found)
    if sys.stdin is None:
        raise wrong("there is no standard input", _WAYS)
    if sys.stdin.isatty():
        return _asked(name, getpass.getpass)
    return Secret(
        read_piped(f"pipe the value in, as in: pass show NAME | coatcheck credential rotate {name}")
    )


def _asked(name: str, ask: Callable[..., str]) -> Secret:
    """Ask on the terminal, once, without an echo: a typing error is found by the servers that verify it."""
    try:
        text = ask(f"value of {name} (not shown): ", stream=sys.stderr)
    except EOFError:
        raise click.Abort from None
    if not text:
        raise wrong("the value is empty", "type or paste it")
    if len(text.encode("utf-8", "replace")) >= _LINE_CHARS:
        raise wrong("the value is longer than a terminal takes on one line", "give it by --from-file")
    return Secret(text)
