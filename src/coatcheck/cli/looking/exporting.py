"""`coatcheck logs export`: the record as a stream of bytes, to a file or to standard output."""

from __future__ import annotations

import http.client
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.looking import filters
from coatcheck.cli.options import Where
from coatcheck.cli.reaching.answers import lost
from coatcheck.cli.reaching.gateway import record_of
from coatcheck.cli.reaching.reach import WHOLE_SECONDS, Reach

FORMATS: Final = ("jsonl", "csv", "cef")
_CHUNK: Final = 256 * 1024


@click.command(
    "export",
    short_help="Export the record, oldest first.",
    epilog=options.example(
        "coatcheck logs export --out record.jsonl",
        "coatcheck logs export --format csv --from 2026-10-01 --to 2026-11-01 --out october.csv",
    ),
)
@click.option(
    "--format",
    type=click.Choice(FORMATS),
    default="jsonl",
    show_default=True,
    help="JSON Lines with the chain, CSV, or CEF.",
)
@click.option(
    "--from", "since", callback=filters.moment, metavar="AGE|TIME", help="From then on: 30d or RFC 3339."
)
@click.option("--to", "until", callback=filters.moment, metavar="AGE|TIME", help="Up to then.")
@filters.matching
@click.option("--out", type=click.Path(path_type=Path), help="A new file, instead of standard output.")
@options.where
@options.far
def export(out: Path | None, where: Where, **wanted: Any) -> int:
    """Write the record, or what of it matches, oldest first; however long it is.

    JSON Lines can be proven with `coatcheck audit verify --file`: what filters leave out is there by hash.
    """
    query = filters.query_of(wanted)
    with record_of(where, options.load(where)) as reach:
        if out is None:
            sys.stdout.flush()
            fetch(reach, "/records/export", query, sys.stdout.buffer.write)
            return Exit.DONE
        with new_file(out) as write:
            fetch(reach, "/records/export", query, write)
    show.say(f"coatcheck: wrote {out}, {max(1, round(out.stat().st_size / 1024))} KiB")
    return Exit.DONE


def fetch(reach: Reach, path: str, query: dict[str, str], write: Callable[[bytes], object]) -> None:
    """Write a large answer piece by piece.

    Raises:
        Stop: it broke off.
    """
    with reach.stream("GET", path, query, within=WHOLE_SECONDS) as answer:
        try:
            while piece := answer.read(_CHUNK):
                write(piece)
        except http.client.IncompleteRead:
            raise lost() from None
        if answer.length:
            raise lost()


@contextmanager
def new_file(path: Path) -> Iterator[Callable[[bytes], object]]:
    """Make a file that only our account can read; one that does not get whole is not left behind.

    Raises:
        Stop: it is there already, or cannot be made.
    """
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
    except FileExistsError:
        raise Stop(f"{path} is there already", exit_code=Exit.NO, fix="name a new file") from None
    except OSError as error:
        raise Stop(f"{path} cannot be made: {error.strerror}", exit_code=Exit.NO) from None
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file.write
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
