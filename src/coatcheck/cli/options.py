"""Options that several commands share, and the one place where the command line loads the configuration."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import click

from coatcheck.cli import show
from coatcheck.config import Config, load_config

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Where:
    """What `--data` and `--config` say, or None for what was not given."""

    data: str | None = None
    config: str | None = None


def where(command: Command) -> Command:
    """Give a command `--data` and `--config`; it gets both as `where`."""

    @click.option(
        "--data", metavar="DIR", help="Data directory: all state, and the socket of a running gateway."
    )
    @click.option("--config", metavar="FILE", help="The servers file, instead of the one found by itself.")
    @functools.wraps(command)
    def with_where(data: str | None, config: str | None, **rest: Any) -> Any:
        return command(where=Where(data, config), **rest)

    return with_where


def as_json(command: Command) -> Command:
    """Give a command `--json`; it gets `as_json`, which is also set when the output is no terminal."""
    return click.option(
        "--json",
        "as_json",
        is_flag=True,
        callback=lambda _context, _option, value: value or not show.is_terminal(),
        help="JSON, as when the output is piped.",
    )(command)


def load(where: Where, **flags: Any) -> Config:
    """Return the configuration of this command: its flags, the environment and `coatcheck.toml`.

    Raises:
        ConfigError: a setting that is unknown or unfit.
    """
    return load_config({"data": where.data, "config": where.config, **flags}, os.environ)
