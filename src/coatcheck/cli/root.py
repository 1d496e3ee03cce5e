"""The `coatcheck` command itself: finds the command asked for, runs it, and words every failure."""

from __future__ import annotations

import contextlib
import errno
import os
import sys
import traceback
from collections.abc import Mapping, Sequence
from typing import Any, Final

import click

from coatcheck import __version__
from coatcheck.cli import show
from coatcheck.cli.exits import Exit, Stop, exit_of
from coatcheck.cli.lazy import LazyGroup
from coatcheck.errors import CoatcheckError

_PLACES: Final[Mapping[str, tuple[str, str]]] = {
    "up": ("running.up:up", "Run the gateway for a team; sets it up at first."),
    "serve": ("running.serve:serve", "Run the gateway until Ctrl-C or SIGTERM."),
    "server": ("administering.groups:server", "Servers of a running gateway."),
    "grant": ("administering.groups:grant", "Grants: issue, list, rotate, revoke."),
    "credential": ("administering.groups:credential", "Credentials: what servers are given, rotated."),
    "policy": ("administering.groups:policy", "Policies: put, test, use and compare them."),
    "subject": ("administering.groups:subject", "People and automations that own grants."),
    "operator": ("administering.groups:operator", "Those who administer the gateway."),
    "access": ("looking.access:access", "Who may call what, and through which rule."),
    "status": ("looking.status:status", "Tell how the gateway does."),
    "list": ("looking.servers:list_servers", "List the servers and how they do."),
    "tools": ("looking.tools:list_tools", "List the tools of the servers."),
    "call": ("running.call:call_tool", "Call a tool."),
    "logs": ("looking.logs:show_logs", "Show the record of calls, or of changes."),
    "blast-radius": ("looking.radius:blast_radius", "Tell all that a credential or a grant touched."),
    "evidence": ("keeping.evidence:evidence", "A signed bundle of the record for an auditor."),
    "audit": ("keeping.groups:audit", "The record as a proof: verify it."),
    "prove": ("keeping.groups:prove", "Try the promises on this machine."),
    "login": ("administering.login:login", "Log in at a gateway elsewhere."),
    "logout": ("administering.login:logout", "Forget a login."),
    "sink": ("administering.groups:sink", "Sinks: where copies of the record go."),
    "key": ("administering.groups:key", "The key that the store is sealed with."),
    "token": ("keeping.groups:token", "Tokens, judged offline."),
    "backup": ("keeping.backup:backup", "Write a copy of the store to a file."),
    "restore": ("keeping.backup:restore", "Put a backup in a data directory's place."),
    "migrate": ("keeping.backup:migrate", "Bring the store to this version's form."),
    "add": ("declaring.add:add", "Add a server to the servers file."),
    "remove": ("declaring.remove:remove", "Take a server out of the servers file."),
    "config": ("declaring.configuration:configuration", "Check and show the configuration."),
    "doctor": ("looking.doctor:doctor", "Find out what is wrong and what to do."),
    "bridge": ("running.bridge:bridge", "Connect a client that only starts commands."),
    "completion": ("completing.completion:completion", "Completion for bash, zsh and fish."),
}
"""Where each command is, and what the help says of it."""


class _Root(LazyGroup):
    """The group of all commands."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run the command; an interrupt ends it without a word, and so does a reader that has seen enough."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            return Exit.INTERRUPTED
        except BrokenPipeError:
            _forget_output()
            return Exit.PIPE_CLOSED


@click.group(
    cls=_Root,
    places=_PLACES,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="\b\nExample:\n  coatcheck up --data state",
)
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
        _refuse_broken(sys.argv[1:] if arguments is None else arguments)
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


def _refuse_broken(arguments: Sequence[str]) -> None:
    """Refuse what no name, time or text is, whichever command it is for; it may be secret, so it is not told.

    Bytes that are no UTF-8 come as lone surrogates (PEP 383).
    """
    for number, text in enumerate(arguments, 1):
        try:
            text.encode("utf-8")
        except UnicodeEncodeError:
            words = f"word {number} after `coatcheck` is not UTF-8"
            raise Stop(words, exit_code=Exit.USAGE, fix="write it in UTF-8") from None


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
