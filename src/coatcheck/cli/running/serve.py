"""`coatcheck serve`: runs the gateway in the foreground."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.declaring import declaration
from coatcheck.cli.options import Command, Where
from coatcheck.config import Config
from coatcheck.declared.settings import LEVELS, SETTINGS, Setting

_EXAMPLE: Final = "coatcheck add time{where} -- uvx mcp-server-time"
_SWITCHES: Final = frozenset({"insecure", "allow_commands"})
"""Settings whose flag is given or not; one that is not given leaves the word to the other sources."""
_EVERYWHERE: Final = frozenset({"data", "config"})
"""Settings that other commands take as well, and so have their flags from `options.where`."""


def settings(command: Command) -> Command:
    """Give a command the flag of every setting, in their order."""
    for setting in reversed(SETTINGS):
        if setting.name not in _EVERYWHERE:
            command = _option(setting)(command)
    return command


def _option(setting: Setting) -> Command:
    about = setting.about
    if setting.name in _SWITCHES:
        return click.option(setting.flag, is_flag=True, help=about)
    if setting.name == "allow_commands":
        return click.option(f"{setting.flag}/--no-allow-commands", default=None, help=about)
    if setting.default == ():
        return click.option(
            setting.flag, multiple=True, metavar=setting.unit.removesuffix("s"), help=f"{about} Repeatable."
        )
    if setting.name == "log_level":
        return click.option(setting.flag, type=click.Choice(LEVELS), help=about)
    told = about if setting.default is None else f"{about}  [default: {setting.default}]"
    return click.option(setting.flag, metavar=(setting.unit or "number").upper(), help=told)


@click.command("serve", epilog=options.example("coatcheck serve --data /var/lib/coatcheck"))
@click.option("--stdio", is_flag=True, help="Serve one local client over standard input and output instead.")
@options.where
@settings
def serve(stdio: bool, where: Where, **flags: Any) -> int:
    """Run the gateway until Ctrl-C or SIGTERM.

    Reads servers.json (`coatcheck config show` says which) and follows its edits; without one, it starts
    with no servers. Words and logs go to standard error. Each option is a setting, which can be given
    by the environment or coatcheck.toml as well.
    """
    if stdio and flags["http"]:
        raise click.UsageError("--stdio serves one client and opens no address: leave --http out")
    config = load_settings(where, flags)
    _say_how_to_begin(config)
    from coatcheck import app  # heavy: paid by the command that runs the gateway only

    if not stdio:
        return app.serve(config)
    if sys.stdin is not None and sys.stdin.isatty():
        show.say(
            "coatcheck: an MCP client is expected on standard input; this is a terminal (Ctrl-C ends it)"
        )
    return app.serve_stdio(config)


def load_settings(where: Where, flags: Mapping[str, Any]) -> Config:
    """Return the configuration; a switch that was not given is left to the environment and the file.

    Raises:
        ConfigError: a setting that is unknown or unfit.
    """
    given = {name: value for name, value in flags.items() if not (name in _SWITCHES and value is False)}
    return options.load(where, **given)


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
