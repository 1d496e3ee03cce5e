"""`coatcheck key show` and `rotate`: the key that the store is sealed with; never the key itself."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.outcomes import lasted
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.gateway import reach_of

_OWN: Final = "the file coatcheck.key in the data directory"


@click.command(
    "show",
    short_help="Tell which key the store is sealed with.",
    epilog=options.example("coatcheck key show"),
)
@options.reached()
@options.as_json
def show_key(where: Where, as_json: bool) -> int:
    """Tell the id of the key that the store is sealed with, and where it comes from; never the key."""
    found = reach_of(where).get("/key")
    if as_json:
        show.put_json(found)
    else:
        show.put_members({"key": found["id"], "from": found["origin"] or _OWN})
    return Exit.DONE


@click.command(
    "rotate",
    short_help="Seal the store with a new key.",
    epilog=options.example(
        "coatcheck key rotate", "coatcheck key rotate --new-key-file /run/secrets/coatcheck-new.key"
    ),
)
@click.option(
    "--new-key-file",
    "path",
    metavar="PATH",
    help="A file with the new key on the gateway's machine; needed where the key is given from outside.",
)
@options.reached()
@options.as_json
def rotate(path: str | None, where: Where, as_json: bool) -> int:
    """Seal everything stored with a new key, while calls go on. Tokens of grants stay as good as they are.

    Ends with what to do with the former key: backups made before need it.
    """
    if path is not None and where.url is None:
        path = str(Path(path).expanduser().absolute())
    if path is not None and not path.startswith("/"):
        raise click.UsageError("--new-key-file is on the gateway's machine: give the whole path")
    reach = reach_of(where)
    with show.waiting("sealing everything anew"):
        answer = reach.send("POST", "/key/rotate", {} if path is None else {"path": path})
    if as_json:
        show.put_json(answer)
        return Exit.DONE
    rows = f"{answer['rows']} objects, in {lasted(float(answer['seconds']))}"
    show.put(f"sealed with the key {answer['new_id']}, no more with {answer['old_id']}: {rows}")
    show.say(f"coatcheck: {show.clean_line(str(answer['advice']))}")
    return Exit.DONE
