"""`coatcheck up`: runs the gateway for a team, and sets it up at the first start."""

from __future__ import annotations

from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.options import Where
from coatcheck.cli.running.serve import load_settings, settings


@click.command(
    "up",
    short_help="Run the gateway for a team; sets it up at first.",
    epilog=options.example(
        "coatcheck up --data /var/lib/coatcheck",
        "coatcheck up --http 0.0.0.0:8080 --insecure --public-url https://mcp.example.com",
    ),
)
@options.where
@settings
def up(where: Where, **flags: Any) -> int:
    """Run the gateway until Ctrl-C or SIGTERM, as `coatcheck serve` does, for callers with grants only.

    The first start makes the data directory and the key file, and prints the line by which the first
    operator logs in. Nobody is served without a grant, and the servers file in the home directory is not
    read: give --config, or put servers.json into the data directory, or use `coatcheck server add`.
    """
    config = load_settings(where, flags)
    if not config.data.exists():
        show.say(f"coatcheck: setting up in {config.data}; keep its coatcheck.key where the backups are not")
        show.say("coatcheck: a first server:  coatcheck server add NAME --url URL, or -- COMMAND")
    from coatcheck import app  # heavy: paid by the command that runs the gateway only

    return app.serve(config, team=True)
