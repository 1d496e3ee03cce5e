"""Options that several commands share, and the one place where the command line loads the configuration."""

from __future__ import annotations

import functools
import os
from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

import click

from coatcheck.cli import show, since
from coatcheck.config import Config, load_config

Command = Callable[..., Any]


@dataclass(frozen=True, slots=True)
class Where:
    """What `--data`, `--config` and `--url` say, or None for what was not given."""

    data: str | None = None
    config: str | None = None
    url: str | None = None


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


def far(command: Command) -> Command:
    """Give a command of `where` a `--url` as well, for a gateway on another machine."""

    @_url
    @functools.wraps(command)
    def with_url(where: Where, url: str | None, **rest: Any) -> Any:
        if url is not None and where.data is not None:
            raise click.UsageError("--url names a gateway elsewhere, and --data one on this machine")
        return command(where=replace(where, url=url), **rest)

    return with_url


def reached(*, gateway_only: bool = False) -> Callable[[Command], Command]:
    """Give a command `--data` and `--url`; it gets both as `where`, and asks a gateway that runs.

    With `gateway_only` the second is `--gateway` alone, since `--url` means something else there.
    """

    def decorate(command: Command) -> Command:
        @click.option("--data", metavar="DIR", help="Data directory: all state, and the gateway's socket.")
        @(_gateway if gateway_only else _url)
        @functools.wraps(command)
        def with_reach(data: str | None, url: str | None, **rest: Any) -> Any:
            if url is not None and data is not None:
                raise click.UsageError("--url names a gateway elsewhere, and --data one on this machine")
            return command(where=Where(data=data, url=url), **rest)

        return with_reach

    return decorate


_ELSEWHERE = "A gateway elsewhere, where `coatcheck login` was done."
_url = click.option("--url", "--gateway", "url", metavar="URL", help=_ELSEWHERE)
_gateway = click.option("--gateway", "url", metavar="URL", help=_ELSEWHERE)


def because(command: Command) -> Command:
    """Give a command `--because`, which goes into the record of changes."""
    return click.option("--because", metavar="WORDS", default="", help="Why; it is kept in the record.")(
        command
    )


def limit(command: Command) -> Command:
    """Give a list `--limit`."""
    return click.option(
        "--limit", type=click.IntRange(1, 100_000), default=1000, show_default=True, help="At most so many."
    )(command)


@dataclass(frozen=True, slots=True)
class Expiry:
    """When something ends: `said` tells whether the option was given, `moment` None means never."""

    said: bool = False
    moment: datetime | None = None

    def member(self) -> dict[str, str | None]:
        """Return the member of a request's body, if there is something to say."""
        if not self.said:
            return {}
        return {"expires_at": None if self.moment is None else since.written(self.moment)}


def expiry_of(text: str) -> Expiry:
    """Return what `90d`, `never` or a date says; raises `click.BadParameter` for anything else."""
    try:
        return Expiry(True, since.expiry(text, since.system_now))
    except ValueError:
        raise click.BadParameter(
            f"{text!r} is neither a time from now such as 12h or 90d, nor a date, nor never"
        ) from None


def expires(command: Command) -> Command:
    """Give a command `--expires`; it gets an `Expiry`."""
    return click.option(
        "--expires",
        metavar="90d|DATE|never",
        callback=lambda _context, _option, text: Expiry() if text is None else expiry_of(text),
        help="When it ends: a time from now, a date (UTC), or never.",
    )(command)


def example(*lines: str) -> str:
    """Return the end of a help text: commands as they are typed, one a line."""
    head = "Example:" if len(lines) == 1 else "Examples:"
    return "\b\n" + "\n".join((head, *(f"  {line}" for line in lines)))


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
