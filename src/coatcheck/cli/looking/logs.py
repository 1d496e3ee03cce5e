"""`coatcheck logs`: the record of who called what, filtered, and followed as it grows."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Mapping
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.lazy import LazyGroup, refuse_before
from coatcheck.cli.looking import changes, filters
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.dialling import SOCKET_NAME, no_gateway
from coatcheck.cli.reaching.gateway import find_running, reach_of, record_of
from coatcheck.cli.reaching.reach import PATIENT_SECONDS, Reach
from coatcheck.config import Config
from coatcheck.errors import CoatcheckError
from coatcheck.model.change import ObjectKind

KINDS: Final = tuple(each.value for each in ObjectKind)
MAX_ENTRIES: Final = 10_000
MOST_LOOKS: Final = 60
"""Parts of the record that are looked through for what no index finds: about three million calls."""
_SEALED: Final = "sealed"
"""The code of `errors.Sealed`, as the API gives it as well."""
_COLUMNS: Final = ("TIME", "SUBJECT", "SERVER", "TOOL", "DECISION", "OUTCOME", "MS", "REASON")

_KNOCKS: Final = ("TIME", "GRANT", "ADDRESS", "ROUTE", "REASON", "TIMES")


@click.group(
    "logs",
    cls=LazyGroup,
    invoke_without_command=True,
    places={"export": ("looking.exporting:export", "Export the record, oldest first.")},
    short_help="Show the record of calls, or of changes.",
    epilog=options.example(
        "coatcheck logs --since 2h --errors",
        "coatcheck logs -f",
        "coatcheck logs --knocking",
        "coatcheck logs --admin --since 7d",
    ),
)
@click.option("--admin", is_flag=True, help="Show who changed what instead of who called what.")
@filters.matching
@click.option("--actor", help="With --admin: only changes by this operator.")
@click.option("--kind", type=click.Choice(KINDS), help="With --admin: only changes of this kind of object.")
@click.option("--object", metavar="NAME", help="With --admin: only changes of this object, by name or id.")
@click.option(
    "--since",
    callback=filters.moment,
    metavar="AGE|TIME",
    help="Only entries since then: 10m, 2h, 7d or RFC 3339.",
)
@click.option("--until", callback=filters.moment, metavar="AGE|TIME", help="Only calls from before then.")
@click.option(
    "--arguments",
    is_flag=True,
    help="With the values of arguments, where `audit.log_arguments` had them kept; for admins and auditors.",
)
@click.option(
    "--limit",
    type=click.IntRange(1, MAX_ENTRIES),
    default=100,
    show_default=True,
    help="At most so many, the newest.",
)
@click.option("-f", "--follow", is_flag=True, help="Go on with new entries as they come, until Ctrl-C.")
@options.where
@options.far
@options.as_json
def show_logs(admin: bool, follow: bool, where: Where, as_json: bool, **wanted: Any) -> int:
    """Show the record: who called what, how it was decided and how it ended; oldest first.

    With --admin: who changed what, from where, and why. A table on a terminal, JSON Lines otherwise.
    """
    context = click.get_current_context()
    if context.invoked_subcommand is not None:
        refuse_before(context)
        return Exit.DONE
    query = filters.query_of(wanted)
    config = options.load(where)
    _refuse_foreign(query, changes.OF_CALLS if admin else changes.OF_CHANGES, admin=admin)
    if admin:
        return _changes(where, config, query, follow=follow, as_json=as_json)
    if follow:
        return _follow(_running(where, config), query, as_json)
    try:
        with record_of(where, config) as reach:
            items = _look(reach, query)
    except CoatcheckError as error:
        _require_sealed(error, where)
        from coatcheck.app import read_records

        items = read_records(config, query)
    _put(items, query, as_json)
    return Exit.DONE


def _look(reach: Reach, query: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the newest entries that match; what is hard to find is asked for part by part, for a while."""
    found: list[dict[str, Any]] = []
    page: dict[str, Any] = {"next": None, "looked_back_to": None}
    for _ in range(MOST_LOOKS):
        more = {"limit": str(int(query["limit"]) - len(found))}
        cursor = {"before": page["next"]} if page["next"] else {}
        page = reach.get("/records", {**query, **more, **cursor}, within=PATIENT_SECONDS)
        found = [*page["items"], *found]
        if page.get("looked_back_to") is None:
            return found
    back_to = page["looked_back_to"]
    show.say(f"coatcheck: looked back to {back_to}; go on with --until {back_to}")
    return found


def _running(where: Where, config: Config) -> Reach:
    """Return the gateway to follow, which must run."""
    running = reach_of(where) if where.url else find_running(config)
    if running is None:
        raise no_gateway(config.data / SOCKET_NAME)
    return running


def _changes(where: Where, config: Config, query: dict[str, str], *, follow: bool, as_json: bool) -> int:
    if follow:
        changes.follow(_running(where, config), query, as_json)
        raise _ended()
    try:
        with record_of(where, config) as reach:
            items = changes.read(reach, query)
    except CoatcheckError as error:
        _require_sealed(error, where)
        from coatcheck.app import read_changes

        items = read_changes(config, query)
    changes.put(items, as_json)
    return Exit.DONE


def _require_sealed(error: CoatcheckError, where: Where) -> None:
    """Raise the error again, unless only the key is missing: neither record needs one to be read here."""
    if error.code != _SEALED or where.url is not None:
        raise error
    show.say(f"coatcheck: sealed: {error.message}")


def _ended() -> Stop:
    return Stop(
        "the gateway ended, and with it the record's new entries",
        exit_code=Exit.UNREACHABLE,
        fix="start it again with `coatcheck up`",
    )


def _refuse_foreign(query: Mapping[str, str], foreign: frozenset[str], *, admin: bool) -> None:
    """Refuse options of the other record: left out in silence, they would seem to have been heard."""
    for name in sorted(foreign & query.keys()):
        where = "belongs to the record of calls" if admin else "needs --admin"
        raise click.UsageError(f"--{name.replace('_', '-')} {where}")


def _put(items: list[dict[str, Any]], query: Mapping[str, str], as_json: bool) -> None:
    if as_json:
        for item in items:
            show.put_json_line(item)
    elif items:
        columns, cells = _table(query)
        show.put_table(columns, [cells(item) for item in items])
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
    cells = _table(query)[1]
    for entry in itertools.chain(settled, news):
        if as_json:
            show.put_json_line(entry)
        else:
            show.put("  ".join(cell for cell in cells(entry) if cell))
    raise _ended()


def _table(
    query: Mapping[str, str],
) -> tuple[tuple[str, ...], Callable[[Mapping[str, Any]], tuple[str, ...]]]:
    """Return the columns that a query is about, and what makes the cells of an entry."""
    if "knocking" in query:
        return _KNOCKS, _knock
    if "arguments" in query:
        return (*_COLUMNS, "ARGUMENTS"), lambda entry: (*_cells(entry), _shown_values(entry))
    return _COLUMNS, _cells


def _knock(entry: Mapping[str, Any]) -> tuple[str, ...]:
    texts = (str(entry.get(name) or "-") for name in ("grant_id", "client_ip", "route", "reason"))
    return (since.local(entry.get("time")), *map(show.clean_line, texts), str(entry.get("repeats") or 1))


def _shown_values(entry: Mapping[str, Any]) -> str:
    values = entry.get("argument_values")
    text = values if isinstance(values, str) else json.dumps(values, ensure_ascii=False)
    return "" if values is None else show.clean_line(text)


def _cells(entry: Mapping[str, Any]) -> tuple[str, ...]:
    duration = entry.get("duration_ms")
    repeats = entry.get("repeats") or 1
    reason = str(entry.get("detail") or entry.get("reason") or "")
    return (
        since.local(entry.get("time")),
        *(show.clean_line(str(entry.get(name) or "-")) for name in ("subject", "server")),
        show.clean_line(str(entry.get("tool") or entry.get("method") or "-")),
        str(entry.get("decision") or ""),
        str(entry.get("outcome") or ""),
        "" if duration is None else f"{duration:.0f}",
        show.clean_line(reason if repeats == 1 else f"{reason} (x{repeats})"),
    )
