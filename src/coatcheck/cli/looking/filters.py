"""The options by which the record is searched, the same for `logs` and for its export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final

import click

from coatcheck.cli import since
from coatcheck.cli.completing import names
from coatcheck.core.wire import peers
from coatcheck.model.record import Outcome, Verdict

Command = Callable[..., Any]

MOST_VERSION: Final = 2**31 - 1
"""The largest number that a version has."""
_MOST_DIGITS: Final = 20


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return a point in time as the API takes it: RFC 3339, in UTC."""
    if value is None:
        return None
    try:
        return since.written(since.instant(value, since.system_now))
    except ValueError:
        message = f"{value!r} is neither an age such as 10m, 2h or 7d nor a time of RFC 3339, years 1 to 9999"
        raise click.BadParameter(message) from None


def address(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return an address as the record has it."""
    if value is None:
        return None
    try:
        return peers.asked(value)
    except ValueError:
        raise click.BadParameter(f"{value!r} is no IP address") from None


_OPTIONS: Final = (
    click.option("--server", help="Only calls of this server.", shell_complete=names.servers),
    click.option("--tool", help="Only calls of this tool, by the server's own name for it."),
    click.option("--subject", help="Only calls by this subject.", shell_complete=names.subjects),
    click.option("--grant", help="Only calls with this grant, by id or label.", shell_complete=names.grants),
    click.option(
        "--credential",
        metavar="NAME[@VERSION]",
        help="Only calls that this credential was used for.",
        shell_complete=names.credentials,
    ),
    click.option(
        "--decision", type=click.Choice([each.value for each in Verdict]), help="Only calls so decided."
    ),
    click.option(
        "--outcome", type=click.Choice([each.value for each in Outcome]), help="Only calls that so ended."
    ),
    click.option("--rule", help="Only calls that this rule decided, by its pointer."),
    click.option("--method", help="Only requests of this method of the protocol."),
    click.option("--client-ip", metavar="ADDRESS", callback=address, help="Only calls from this address."),
    click.option("--errors", is_flag=True, help="Only calls that did not end well."),
    click.option(
        "--knocking",
        is_flag=True,
        help="Only callers who presented what was good once, such as a revoked grant.",
    ),
)


def matching(command: Command) -> Command:
    """Give a command the options about calls."""
    for option in reversed(_OPTIONS):
        command = option(command)
    return command


def query_of(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return what was asked for as the API takes it, and nothing else.

    Raises:
        click.UsageError: a version that there cannot be, or a time that ends before it begins.
    """
    query = {name: str(value) for name, value in wanted.items() if value not in {None, False}}
    query |= {name: "true" for name, value in wanted.items() if value is True}
    name, at, version = query.get("credential", "").rpartition("@")
    if at and version.isdecimal() and name:
        if len(version) > _MOST_DIGITS or int(version) > MOST_VERSION:
            raise click.UsageError(f"--credential: no version is larger than {MOST_VERSION}")
        query |= {"credential": name, "version": str(int(version))}
    _refuse_backwards(query.get("since"), query.get("until"))
    return query


def _refuse_backwards(since: str | None, until: str | None) -> None:
    """Refuse a time in which nothing can be: that it is empty would look like good news."""
    if since and until and datetime.fromisoformat(since) >= datetime.fromisoformat(until):
        raise click.UsageError(f"the time ends at {until}, which is not after {since}, where it begins")
