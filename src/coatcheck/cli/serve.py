"""`coatcheck serve`: runs the gateway in the foreground."""

from __future__ import annotations

import shlex
import sys
from typing import Any, Final

import click

from coatcheck.cli import declaration, options, show
from coatcheck.cli.options import Command, Where
from coatcheck.config import Config
from coatcheck.declared.settings import LEVELS, SETTINGS, Setting

_EXAMPLE: Final = "coatcheck add time{where} -- uvx mcp-server-time"
_EVERYWHERE: Final = frozenset({"data", "config"})
"""Settings that other commands take as well, and so have their flags from `options.where`."""


def _settings(command: Command) -> Command:
    """Give a command the flag of every setting, in their order."""
    for setting in reversed(SETTINGS):
        if setting.name not in _EVERYWHERE:
            command = _option(setting)(command)
    return command


def _option(setting: Setting) -> Command:
    about = setting.about
    if setting.default is False:
        return click.option(setting.flag, is_flag=True, help=about)
    if setting.default == ():
        return click.option(
            setting.flag, multiple=True, metavar=setting.unit.removesuffix("s"), help=f"{about} Repeatable."
        )
    if setting.name == "log_level":
        return click.option(setting.flag, type=click.Choice(LEVELS), help=about)
    told = about if setting.default is None else f"{about}  [default: {setting.default}]"
    return click.option(setting.flag, metavar=(setting.unit or "number").upper(), help=told)


@click.command("serve")
@click.option("--stdio", is_flag=True, help="Serve one local client over standard input and output instead.")
@options.where
@_settings
def serve(stdio: bool, insecure: bool, where: Where, **flags: Any) -> int:
    """Run the gateway until Ctrl-C or SIGTERM.

    Reads servers.json (`coatcheck config show` says which) and follows its edits; without one, it starts
    with no servers. Words and logs go to standard error. Each option is a setting, which can be given
    by the environment or coatcheck.toml as well.
    """
    if stdio and flags["http"]:
        raise click.UsageError("--stdio serves one client and opens no address: leave --http out")
    config = options.load(where, insecure=insecure or None, **flags)
    _say_how_to_begin(config)
    from coatcheck import app  # heavy: paid by the command that runs the gateway only

    if not stdio:
        return app.serve(config)
    if sys.stdin is not None and sys.stdin.isatty():
        show.say(
            "coatcheck: an MCP client is expected on standard input; this is a terminal (Ctrl-C ends it)"
        )
    return app.serve_stdio(config)


def _say_how_to_begin(config: Config) -> None:
    """Tell how to add a first server where there is no file that could declare one."""
    found, _ = declaration.find(config)
    if found.path is not None or found.text is not None:
        return
    first = found.awaited[0] if found.awaited else config.data / "servers.json"
    where = f" --data {shlex.quote(str(config.data))}" if config.sources["data"] != "default" else ""
    example = _EXAMPLE.format(where=where)
    show.say(f"coatcheck: no servers yet. Add one in another terminal:\n  {example}")
    show.say(f"It goes to {first}, which is read by itself.")
