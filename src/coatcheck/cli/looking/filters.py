"""The options by which the record is searched, the same for `logs` and for its export."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from coatcheck.cli import since
from coatcheck.cli.completing import names
from coatcheck.model.record import Outcome, Verdict

Command = Callable[..., Any]


def moment(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return a point in time as the API takes it: RFC 3339, in UTC."""
    if value is None:
        return None
    try:
        return since.written(since.instant(value, since.system_now))
    except ValueError:
        message = f"{value!r} is neither an age such as 10m, 2h or 7d nor a time of RFC 3339"
        raise click.BadParameter(message) from None


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
    click.option("--client-ip", metavar="ADDRESS", help="Only calls from this address."),
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
    """Return what was asked for as the API takes it, and nothing else."""
    query = {name: str(value) for name, value in wanted.items() if value not in {None, False}}
    query |= {name: "true" for name, value in wanted.items() if value is True}
    name, at, version = query.get("credential", "").rpartition("@")
    if at and version.isdecimal() and name:
        return query | {"credential": name, "version": version}
    return query
