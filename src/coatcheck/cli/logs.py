"""`coatcheck logs`: the record of who called what, filtered, and followed as it grows."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.gateway import find_running, gateway
from coatcheck.cli.options import Where
from coatcheck.cli.reach import PATIENT_SECONDS, SOCKET_NAME, Reach, no_gateway
from coatcheck.cli.since import instant
from coatcheck.model.record import Verdict

MAX_ENTRIES: Final = 10_000
_COLUMNS: Final = ("TIME", "SUBJECT", "SERVER", "TOOL", "DECISION", "OUTCOME", "MS", "REASON")


def _since(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return the point in time as the API takes it: RFC 3339, in UTC."""
    if value is None:
        return None
    try:
        return instant(value, _now).isoformat().replace("+00:00", "Z")
    except ValueError:
        message = f"{value!r} is neither an age such as 10m, 2h or 7d nor a time of RFC 3339"
        raise click.BadParameter(message) from None


def _now() -> datetime:
    from coatcheck.app.real import SystemClock  # heavy, and only an age needs it

    return SystemClock().now()


@click.command("logs", short_help="Show the record of calls.")
@click.option("--server", help="Only calls of this server.")
@click.option("--tool", help="Only calls of this tool, by the server's own name for it.")
@click.option("--subject", help="Only calls by this subject.")
@click.option(
    "--decision", type=click.Choice([each.value for each in Verdict]), help="Only calls so decided."
)
@click.option(
    "--since", callback=_since, metavar="AGE|TIME", help="Only calls since then: 10m, 2h, 7d or RFC 3339."
)
@click.option("--errors", is_flag=True, help="Only calls that did not end well.")
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_ENTRIES),
    default=100,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new entries as they come, until Ctrl-C.")
@options.where
@options.as_json
def show_logs(follow: bool, where: Where, as_json: bool, **wanted: Any) -> int:
    """Show the record: who called what, how it was decided and how it ended; oldest first.

    A table on a terminal, JSON Lines otherwise.
    """
    config = options.load(where)
    query = _query(wanted)
    if follow:
        reach = find_running(config)
        if reach is None:
            raise no_gateway(config.data / SOCKET_NAME)
        return _follow(reach, query, as_json)
    with gateway(config) as reach:
        items = reach.get("/records", query, within=PATIENT_SECONDS)["items"]
    _put(items, as_json)
    return Exit.DONE


def _query(wanted: Mapping[str, Any]) -> dict[str, str]:
    """Return the query of `GET /records`: what was asked for, nothing else."""
    query = {name: str(value) for name, value in wanted.items() if value not in {None, False}}
    if wanted["errors"]:
        query["errors"] = "true"
    return query


def _put(items: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        for item in items:
            show.put_json_line(item)
    elif items:
        show.put_table(_COLUMNS, [_cells(item) for item in items])
    else:
        show.say("coatcheck: no entries")


def _follow(reach: Reach, query: Mapping[str, str], as_json: bool) -> int:
    """Print what is settled already, then each entry once it is: nothing twice, nothing left out."""
    so_far = reach.get("/records", query, within=PATIENT_SECONDS)["items"]
    settled = [entry for entry in so_far if entry["outcome"] is not None]
    under_way = [entry["position"] for entry in so_far if entry["outcome"] is None]
    seen = {entry["position"] for entry in settled}
    after = min(under_way) - 1 if under_way else max(seen, default=None)
    following = {**query, "follow": "true"} | ({} if after is None else {"after": str(after)})
    news = (entry for entry in reach.follow("/records", following) if entry["position"] not in seen)
    for entry in itertools.chain(settled, news):
        if as_json:
            show.put_json_line(entry)
        else:
            show.put("  ".join(cell for cell in _cells(entry) if cell))
    raise Stop(
        "the gateway ended, and with it the record's new entries",
        exit_code=Exit.UNREACHABLE,
        fix="start it again with `coatcheck serve`",
    )


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    duration = entry.get("duration_ms")
    repeats = entry.get("repeats") or 1
    reason = str(entry.get("detail") or entry.get("reason") or "")
    return (
        _local(str(entry.get("time", ""))),
        *(show.clean_line(str(entry.get(name) or "-")) for name in ("subject", "server")),
        show.clean_line(str(entry.get("tool") or entry.get("method") or "-")),
        str(entry.get("decision") or ""),
        str(entry.get("outcome") or ""),
        "" if duration is None else f"{duration:.0f}",
        show.clean_line(reason if repeats == 1 else f"{reason} (x{repeats})"),
    )


def _local(time: str) -> str:
    """Return the time to the second in the reader's own zone, or as it came if it is no time."""
    try:
        return datetime.fromisoformat(time).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return show.clean_line(time)
