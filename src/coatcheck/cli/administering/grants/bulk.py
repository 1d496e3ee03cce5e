"""Many grants at once from a CSV file, all or none; their tokens go to a new file for its owner alone."""

from __future__ import annotations

import csv
import io
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final, TextIO

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.grants.asking import ALL, body_of
from coatcheck.cli.administering.lists import MOST, text_of, unfit
from coatcheck.cli.administering.outcomes import counted
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import Reach

_NEEDED: Final = ("label", "subject", "servers")
_KNOWN: Final = (*_NEEDED, "tools", "expires", "policy", "note", "claim")
_WRITTEN: Final = ("label", "subject", "id", "expires_at", "token", "claim_url")
_TRUTH: Final = {"": False, "no": False, "false": False, "0": False, "yes": True, "true": True, "1": True}
_NUMBERED: Final = re.compile(r"grant (\d+): ", re.IGNORECASE)
_OF_A_ROW: Final = frozenset({404, 409, 422})
_FORM: Final = (
    "the first row names the columns: label,subject,servers and any of tools,expires,policy,note,claim; "
    "several servers or tools are separated by spaces, all servers are `all`"
)


def issue_many(file: Path, out: Path | None, where: Where, as_json: bool) -> int:
    """Issue a grant for each row.

    Raises:
        Stop: a row that cannot be, told with its line; nothing was issued.
    """
    rows = read_rows(file)
    reach = reach_of(where)
    reach.get("/status")  # before the file is made
    if out is None:
        _put(_issue(reach, file, rows), as_json)
        return Exit.DONE
    with _new_file(out) as target:
        items = _issue(reach, file, rows)
        write_tokens(items, target)
    if as_json:
        show.put_json({"issued": len(items), "file": str(out)})
    else:
        show.put(f"issued {counted(len(items), 'grant')}; their tokens are in {out}, and nowhere else")
    return Exit.DONE


def _issue(reach: Reach, file: Path, rows: Mapping[int, dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the grants made. A refusal that names one by its number is told with the line of its row."""
    lines = list(rows)
    try:
        items: list[dict[str, Any]] = reach.send("POST", "/grants/batch", {"grants": list(rows.values())})[
            "items"
        ]
        return items
    except ApiRefusal as refusal:
        named = _NUMBERED.match(refusal.message)
        number = int(named[1]) if named else 1
        if refusal.status not in _OF_A_ROW or (named is None and len(lines) > 1) or number > len(lines):
            raise
        told = refusal.message[named.end() if named else 0 :]
        message = f"{file}:{lines[number - 1]}: {told}"
        raise Stop(message, exit_code=refusal.exit_code, fix=refusal.fix) from None


def _put(items: Sequence[Mapping[str, Any]], as_json: bool) -> None:
    if as_json:
        show.put_list(items)
        return
    text = io.StringIO()
    write_tokens(items, text)
    show.put(text.getvalue().rstrip("\n"))


# --- what is read ------------------------------------------------------------------------------------------


def read_rows(file: Path) -> dict[int, dict[str, Any]]:
    """Return the grants that a CSV file (RFC 4180, UTF-8) asks for, as the API takes them, each by its line.

    Raises:
        Stop: the file cannot be read, or every row that cannot be, with its line.
    """
    reader = csv.DictReader(io.StringIO(text_of(file)), strict=True, skipinitialspace=True)
    try:
        _judge_columns(file, reader.fieldnames or ())
        found = [(reader.line_num, row) for row in reader if any(_cells(row))]
    except csv.Error as error:
        raise _unfit(f"{file}:{reader.line_num}: {error}") from None
    if not 1 <= len(found) <= MOST:
        raise _unfit(f"{file} has {len(found)} rows of grants", f"give from 1 to {MOST} at once")
    rows: dict[int, dict[str, Any]] = {}
    wrong = []
    for line, row in found:
        try:
            rows[line] = _grant(row)
        except (ValueError, click.BadParameter) as error:
            wrong.append(f"{file}:{line}: {error}")
    if wrong:
        raise _unfit("\n".join(wrong))
    return rows


def _judge_columns(file: Path, columns: Sequence[str]) -> None:
    unknown = [name for name in columns if name not in _KNOWN]
    missing = [name for name in _NEEDED if name not in columns]
    if unknown or missing or len(set(columns)) != len(columns):
        told = [f"no column {name}" for name in missing] + [f"an unknown column {name!r}" for name in unknown]
        raise _unfit(f"{file} has {', '.join(told) or 'a column twice'}")


def _cells(row: Mapping[Any, Any]) -> list[Any]:
    return [cell for cell in row.values() if cell]


def _grant(row: Mapping[Any, Any]) -> dict[str, Any]:
    if None in row or None in row.values():
        raise ValueError("it has more or fewer cells than there are columns")
    cells = {name: str(cell).strip() for name, cell in row.items()}
    if empty := [name for name in _NEEDED if not cells[name]]:
        raise ValueError(f"{empty[0]} is empty")
    claim = _TRUTH.get(cells.get("claim", "").lower())
    if claim is None:
        raise ValueError("claim is neither yes nor no")
    expires = cells.get("expires", "")
    return body_of(
        cells["label"],
        cells["subject"],
        None if cells["servers"] == ALL else cells["servers"].split(),
        cells.get("tools", "").split(),
        options.expiry_of(expires) if expires else Expiry(),
        cells.get("note", ""),
        claim,
        cells.get("policy", ""),
    )


def _unfit(message: str, fix: str = _FORM) -> Stop:
    return unfit(message, fix)


# --- what is written ---------------------------------------------------------------------------------------


def write_tokens(items: Sequence[Mapping[str, Any]], target: TextIO) -> None:
    """Write a row for each grant: whose it is, and its token or claim link."""
    writer = csv.DictWriter(target, _WRITTEN, lineterminator="\n")
    writer.writeheader()
    for item in items:
        grant = item["grant"]
        told = {name: grant[name] for name in ("label", "subject", "id", "expires_at")}
        writer.writerow({**told, "token": item["token"], "claim_url": item["claim_url"]})


@contextmanager
def _new_file(path: Path) -> Iterator[TextIO]:
    """Open a file that must be new and is for its owner alone; it goes again if the block fails."""
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(path, flags, 0o600)
    except FileExistsError:
        raise Stop(f"{path} is there already", exit_code=Exit.NO, fix="name a new file") from None
    except OSError as error:
        raise Stop(f"{path} cannot be made: {error.strerror}", exit_code=Exit.NO) from None
    try:
        with os.fdopen(descriptor, "w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(descriptor)
    except BaseException:
        path.unlink(missing_ok=True)
        raise
