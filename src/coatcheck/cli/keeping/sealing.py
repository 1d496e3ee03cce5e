"""`coatcheck audit seal` and `segments`: the oldest part of the record in files, out of the store."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show, since
from coatcheck.cli.exits import Exit
from coatcheck.cli.looking import filters
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import gateway_of
from coatcheck.cli.reaching.reach import WHOLE_SECONDS

_COLUMNS: Final = ("FIRST", "LAST", "SEALED", "FILE", "SHA-256")
_NONE: Final = "nothing is sealed; all of the record is in the store"


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
