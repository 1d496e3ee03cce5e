"""`coatcheck audit seal`, `segments` and `accept`: what a running gateway does to its record as a whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking import filters
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import gateway_of, reach_of
from coatcheck.cli.reaching.reach import WHOLE_SECONDS

_COLUMNS: Final = ("FIRST", "LAST", "SEALED", "FILE", "SHA-256")
_NONE: Final = "nothing is sealed; all of the record is in the store"


def _reason(_: click.Context, __: click.Parameter, text: str) -> str:
    if not text.strip():
        raise click.BadParameter("say why: it goes on record")
    return text.strip()


@click.command(
    "seal",
    short_help="Move the oldest part of the record to a file.",
    epilog=options.example("coatcheck audit seal --before 90d --to /mnt/archive"),
)
@click.option(
    "--before",
    required=True,
    callback=filters.moment,
    metavar="AGE|TIME",
    help="Entries from before then: 90d or RFC 3339.",
)
@click.option(
    "--to",
    type=click.Path(path_type=Path),
    help="Folder on this machine, instead of the one that the setting `segments` names.",
)
@click.option(
    "--although-behind", is_flag=True, help="Also what a sink has not got yet; it never will get it then."
)
@options.where
@options.far
@options.as_json
def seal(before: str, to: Path | None, although_behind: bool, where: Where, as_json: bool) -> int:
    """Move the oldest entries with their chain to a gzipped file; they are removed once it was judged.

    The record can be verified as before: the chain goes on from the segment's last hash.
    """
    if to is not None and where.url is not None:
        raise click.UsageError("--to names a folder on this machine, and --url a gateway elsewhere")
    body: dict[str, Any] = {"before": before, "although_behind": although_behind}
    if to is not None:
        body["to"] = str(to.absolute())
    with gateway_of(where, options.load(where)) as reach:
        made = reach.send("POST", "/segments", body, within=WHOLE_SECONDS)["segment"]
    if as_json:
        show.put_json({"segment": made})
    elif made is None:
        show.say("coatcheck: there is nothing to seal")
    else:
        show.put(f"sealed entries {made['first']} to {made['last']} in {made['file']}")
        show.put(f"sha256 {made['sha256']}")
    return Exit.DONE


@click.command(
    "segments",
    short_help="List the sealed parts of the record.",
    epilog=options.example("coatcheck audit segments"),
)
@options.where
@options.far
@options.as_json
def segments(where: Where, as_json: bool) -> int:
    """List which entries are in files, and the SHA-256 of each file."""
    with gateway_of(where, options.load(where)) as reach:
        items = reach.get("/segments")["items"]
    rows = [
        (str(one["first"]), str(one["last"]), since.local(one["time"]), one["file"], one["sha256"])
        for one in items
    ]
    show.put_page(_COLUMNS, rows, items, None, as_json, _NONE)
    return Exit.DONE


@click.command(
    "accept",
    short_help="Go on from a record that something else moved.",
    epilog=options.example("coatcheck audit accept 'INC-42: an admin repaired the table by hand'"),
)
@click.argument("why", callback=_reason)
@options.reached()
@options.as_json
def accept(why: str, where: Where, as_json: bool) -> int:
    """Have a running gateway go on where something else wrote to its record; WHY goes on record.

    Until then it refuses calls. Look into it first: `coatcheck doctor`, `coatcheck audit verify`. What was
    done stays provable: where the gateway left the record is signed outside of the store.
    """
    alarms = reach_of(where).send("POST", "/checkpoints/accept", {"because": why})["alarms"]
    if as_json:
        show.put_json({"alarms": alarms})
        return Exit.DONE
    show.put("accepted: calls go on")
    for alarm in alarms:
        show.say(f"coatcheck: ALARM: {show.clean_line(alarm)}")
    return Exit.DONE
