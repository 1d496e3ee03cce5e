"""The group of commands about tokens."""

from __future__ import annotations

import click

from coatcheck.cli import options
from coatcheck.cli.lazy import LazyGroup


@click.group(
    "token",
    cls=LazyGroup,
    places={"check": ("keeping.token:check", "Tell what a token is, without a gateway.")},
    epilog=options.example("coatcheck token check < grant"),
)
def token() -> None:
    """Tokens, judged offline."""
