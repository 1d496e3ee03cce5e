"""The `coatcheck` command itself: finds the command asked for, runs it, and words every failure."""

from __future__ import annotations

import contextlib
import difflib
import errno
import importlib
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from coatcheck import __version__
from coatcheck.cli import show
from coatcheck.cli.exits import Exit, exit_of
from coatcheck.errors import CoatcheckError

_COMMANDS: Final[Mapping[str, tuple[str, str]]] = {
    "serve": ("coatcheck.cli.serve", "serve"),
    "add": ("coatcheck.cli.add", "add"),
    "remove": ("coatcheck.cli.remove", "remove"),
    "list": ("coatcheck.cli.servers", "list_servers"),
    "tools": ("coatcheck.cli.tools", "list_tools"),
    "call": ("coatcheck.cli.call", "call_tool"),
    "logs": ("coatcheck.cli.logs", "show_logs"),
    "config": ("coatcheck.cli.configuration", "configuration"),
    "doctor": ("coatcheck.cli.doctor", "doctor"),
    "bridge": ("coatcheck.cli.bridge", "bridge"),
}
"""Module and attribute of each command, imported when it is asked for: starting up must cost little."""


class _Root(click.Group):
    """A group whose commands are imported on first use, listed in the order people need them."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002
        """Return the names of all commands."""
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        """Import the command of that name, or return None."""
        if cmd_name not in _COMMANDS:
            return None
        module, attribute = _COMMANDS[cmd_name]
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command, or name the one probably meant: click itself knows imported ones only."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = difflib.get_close_matches(args[0], _COMMANDS)
            if not near:
                raise
            raise click.UsageError(f"{error.message} Did you mean {' or '.join(near)}?", ctx) from None

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an interrupt ends it without a word, and so does a reader that has seen enough."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        except BrokenPipeError:
            _forget_output()
            return Exit.PIPE_CLOSED


@click.group(cls=_Root, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, message="coatcheck %(version)s")
def root() -> None:
    """Coatcheck is a self-hosted MCP gateway: hand in the key, keep the ticket.

    Tables on a terminal, JSON when piped or with --json. Results go to standard output, words to
    standard error.
    """


def run(arguments: Sequence[str] | None = None) -> int:
    """Run the command line and return the exit code; nothing foreseen leaves a traceback."""
    for stream in (sys.stdout, sys.stderr):
        if stream is not None and hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")  # an odd locale must not break a table
    try:
        code = _run(arguments)
        if sys.stdout is not None:
            sys.stdout.flush()
        return code
    except BrokenPipeError:
        _forget_output()
        return Exit.PIPE_CLOSED
    except OSError as error:
        _forget_output()
        show.say_failure(f"the output cannot be written: {error.strerror}")
        return Exit.NO


def _run(arguments: Sequence[str] | None) -> int:
    try:
        code = root.main(args=arguments, prog_name="coatcheck", standalone_mode=False)
        return int(code or Exit.DONE)
    except click.Abort:
        return Exit.INTERRUPTED
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except CoatcheckError as error:
        show.say_failure(error.message, error.fix)
        return exit_of(error)
    except OSError as error:
        if error.errno in {errno.EPIPE, errno.ENOSPC} and error.filename is None:
            raise
        return _tell_unforeseen(error)
    except Exception as error:  # noqa: BLE001  # the last line of defence against tracebacks
        return _tell_unforeseen(error)


def _tell_unforeseen(error: Exception) -> int:
    """Say where it happened and how to report it; not the exception's own text, which may hold anything."""
    if os.environ.get("COATCHECK_DEBUG") == "1":
        traceback.print_exception(error)
    frames = traceback.extract_tb(error.__traceback__)
    place = f" at {os.path.basename(frames[-1].filename)}:{frames[-1].lineno}" if frames else ""  # noqa: PTH119
    show.say(
        f"coatcheck: unforeseen {type(error).__name__}{place} in version {__version__}; "
        "please report it, with what the same command prints under COATCHECK_DEBUG=1"
    )
    return Exit.UNFORESEEN


def _forget_output() -> None:
    """Point standard output nowhere, so that the interpreter's last flush cannot fail as well."""
    with contextlib.suppress(OSError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
