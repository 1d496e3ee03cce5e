"""`coatcheck serve`: runs the gateway in the foreground."""

from __future__ import annotations

import sys
from typing import Any, Final

import click

from coatcheck.cli import declaration, options, show
from coatcheck.cli.options import Where
from coatcheck.config import Config
from coatcheck.declared.settings import LEVELS

_EXAMPLE: Final = '{"mcpServers": {"time": {"command": "uvx", "args": ["mcp-server-time"]}}}'


@click.command("serve")
@click.option("--http", metavar="HOST:PORT", help="Where to listen; 127.0.0.1:8080 by default.")
@click.option(
    "--insecure", is_flag=True, help="Allow an address beyond this machine. Needs authentication, too."
)
@click.option("--public-url", metavar="URL", help="The origin under which clients reach the gateway.")
@click.option(
    "--allow-private",
    multiple=True,
    metavar="CIDR",
    help="A private network that servers may be in; repeatable.",
)
@click.option(
    "--trusted-proxies",
    multiple=True,
    metavar="CIDR",
    help="Proxies whose X-Forwarded-For is believed; repeatable.",
)
@click.option("--log-level", type=click.Choice(LEVELS), help="How much is logged, on standard error.")
@click.option("--stdio", is_flag=True, help="Serve one local client over standard input and output instead.")
@options.where
def serve(stdio: bool, insecure: bool, where: Where, **flags: Any) -> int:
    """Run the gateway until Ctrl-C or SIGTERM.

    Reads servers.json (see `coatcheck config show`) and follows its edits. Without one, it starts with no
    servers. Prints nothing on standard output; words and logs go to standard error.
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
    show.say(f"coatcheck: no servers yet. Write {first}, for example:\n  {_EXAMPLE}\nIt is read by itself.")
