"""`coatcheck bridge`: connects a client that can only start commands to a gateway."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click

from coatcheck.cli import options, show

if TYPE_CHECKING:
    from coatcheck.bridge.grants import Source
from coatcheck.declared.reading.problems import Unfit
from coatcheck.declared.reading.units import bytes_of, count_of, seconds_of

_KIB: Final = 1024
_GIB: Final = 1024**3
_HOUR: Final = 3600.0


def _read_by(read: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str], Any]:
    """Return a callback that reads an option as settings of the gateway are read."""

    def callback(context: click.Context, parameter: click.Parameter, text: str) -> Any:
        try:
            return read(text)
        except Unfit as error:
            raise click.BadParameter(f"{text!r} {error}", context, parameter) from None

    return callback


@click.command(
    "bridge",
    short_help="Connect a client that only starts commands.",
    epilog=options.example(
        "coatcheck bridge https://mcp.example.com/mcp --grant-file ~/.config/coatcheck/grant"
    ),
)
@click.argument("url")
@click.option(
    "--grant-file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="Read the grant from a file; it is read again when the grant is refused.",
)
@click.option("--keyring", metavar="NAME", help="Read the grant from the system's keyring.")
@click.option("--insecure", is_flag=True, help="Allow plain http to another machine.")
@click.option(
    "--wait",
    default="30s",
    show_default=True,
    metavar="SECONDS",
    callback=_read_by(lambda text: seconds_of(text, 0, _HOUR)),
    help="How long requests wait for a gateway that does not answer.",
)
@click.option(
    "--body-limit",
    default="16MiB",
    show_default=True,
    metavar="BYTES",
    callback=_read_by(lambda text: bytes_of(text, _KIB, _GIB)),
    help="The longest message of the client.",
)
@click.option(
    "--reply-limit",
    default="64MiB",
    show_default=True,
    metavar="BYTES",
    callback=_read_by(lambda text: bytes_of(text, _KIB, _GIB)),
    help="The longest message of the gateway.",
)
@click.option(
    "--requests",
    default="128",
    show_default=True,
    metavar="NUMBER",
    callback=_read_by(lambda text: count_of(text, 1, 10_000)),
    help="Requests at once; more are refused.",
)
def bridge(
    url: str,
    grant_file: Path | None,
    keyring: str | None,
    insecure: bool,
    wait: float,
    body_limit: int,
    reply_limit: int,
    requests: int,
) -> None:
    """Speak MCP on standard input and output, and HTTP to the gateway at URL.

    For clients that can only start commands, such as Claude Desktop. URL is https://HOST/mcp for every
    server, or https://HOST/mcp/NAME/ for one. The grant is read from COATCHECK_GRANT, --grant-file or
    --keyring. A restart of the gateway goes unnoticed: requests wait for it, and sessions are opened anew.

    HTTPS_PROXY, NO_PROXY, SSL_CERT_FILE and SSL_CERT_DIR are honoured.
    """
    if grant_file is not None and keyring is not None:
        raise click.UsageError("--grant-file and --keyring exclude each other")
    from coatcheck.bridge.grants import source_of
    from coatcheck.bridge.limits import Limits
    from coatcheck.bridge.place import place_of

    place = place_of(url, insecure=insecure)
    source = source_of(os.environ, grant_file, keyring)
    _warn(source)
    from coatcheck.bridge.run import run  # heavy: paid when everything else is right

    limits = Limits(body=body_limit, reply=reply_limit, requests=requests, wait=wait)
    run(place, source, limits, show.say)


def _warn(source: Source) -> None:
    from coatcheck.bridge.grants import FromFile

    if isinstance(source, FromFile) and source.is_open_to_others:
        show.say(f"coatcheck: other accounts of this machine can read {source.path}")
        show.say(f"fix: chmod 600 {source.path}")
    if sys.stdin is not None and sys.stdin.isatty():
        show.say(
            "coatcheck: an MCP client is expected on standard input; this is a terminal (Ctrl-C ends it)"
        )
