"""Many rotations from a CSV or JSON Lines file, each a transaction of its own, and what came of them."""

from __future__ import annotations

import csv
import io
import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.credentials.giving import Origin, check_name, material
from coatcheck.cli.administering.credentials.rotating import body_of
from coatcheck.cli.administering.credentials.telling import drained_line, verdict_line
from coatcheck.cli.administering.lists import MOST, text_of, unfit
from coatcheck.cli.administering.outcomes import lasted
from coatcheck.cli.exits import Exit, Stop
from coatcheck.cli.options import Expiry, Where
from coatcheck.cli.reaching.answers import ApiRefusal
from coatcheck.cli.reaching.gateway import reach_of
from coatcheck.cli.reaching.reach import Reach, at
from coatcheck.errors import CoatcheckError
from coatcheck.model.secret import Secret

_KNOWN: Final = ("name", "file", "env", "expires")
_OF_ONE: Final = frozenset({404, 409, 412, 422, 502, 504})
"""Statuses of refusals that concern one credential; after any other the rest is not tried."""
_FORM: Final = (
    "each row has name, and either file or env: a file with the value, or a variable; and expires, if known. "
    "CSV names its columns in the first row; JSON Lines have an object a line"
)


@dataclass(frozen=True, slots=True)
class Wanted:
    """One rotation."""

    name: str
    given: Secret
    expires: Expiry


def rotate_many(file: Path, where: Where, as_json: bool, words: dict[str, Any]) -> int:
    """Rotate what a file lists, one after the other; one that fails does not keep the others from it.

    Raises:
        Stop: the file, or a value, cannot be read; nothing was rotated.
    """
    wanted = read_list(file)
    reach = reach_of(where)
    reach.get("/status")
    items: list[dict[str, Any]] = []
    stopped: CoatcheckError | None = None
    for one in wanted:
        if stopped is None:
            item, stopped = _rotated(reach, one, words)
        else:
            item = {"name": one.name, "ok": False, "error": "not tried", "verdicts": []}
        items.append(item)
        if not as_json:
            _put(item)
    failed = sum(not item["ok"] for item in items)
    if as_json:
        show.put_list(items, failed=failed)
    else:
        show.put(f"rotated {len(items) - failed} of {len(items)}; the others are as they were")
    if stopped is not None:
        raise stopped
    return Exit.NO if failed else Exit.DONE


def _rotated(
    reach: Reach, one: Wanted, words: dict[str, Any]
) -> tuple[dict[str, Any], CoatcheckError | None]:
    """Return what came of one rotation, and why the rest is not to be tried, if so."""
    failed = {"name": one.name, "ok": False}
    try:
        with show.waiting(f"rotating {one.name}"):
            answer = reach.send(
                "POST", at("credentials", one.name, "rotate"), body_of(one.given, one.expires, words)
            )
    except ApiRefusal as refusal:
        told = failed | {"error": refusal.message, "verdicts": list(refusal.verdicts)}
        return told, None if refusal.status in _OF_ONE else refusal
    except CoatcheckError as error:
        return failed | {"error": error.message, "verdicts": []}, error
    kept = {name: value for name, value in answer.items() if name != "credential"}
    return {"name": one.name, "ok": True, "error": "", **kept}, None


def _put(item: Mapping[str, Any]) -> None:
    if item["ok"]:
        told = f"version {item['number']} active after {lasted(float(item['effect_seconds']))}"
        show.put_status("ok", f"{item['name']}: {told}; {drained_line(item)}")
        return
    show.put_status("fail", f"{item['name']}: {show.clean_line(str(item['error']))}")
    for verdict in item["verdicts"]:
        show.put(f"        {verdict_line(verdict)}")


# --- what is read ------------------------------------------------------------------------------------------


def read_list(file: Path) -> list[Wanted]:
    """Return the rotations that a file asks for, with their values. Paths in it start from its own folder.

    Raises:
        Stop: the file cannot be read, or every row that cannot be used, with its line.
    """
    text = text_of(file)
    rows = _lines_of(file, text) if text.lstrip().startswith("{") else _rows_of(file, text)
    if not 1 <= len(rows) <= MOST:
        raise _unfit(f"{file} lists {len(rows)} credentials", f"give from 1 to {MOST} at once")
    found: list[Wanted] = []
    wrong: list[str] = []
    for line, row in rows:
        try:
            one = _wanted(file.parent, row)
            if any(one.name == other.name for other in found):
                raise ValueError(f"{one.name} is there twice")
            found.append(one)
        except (ValueError, click.BadParameter) as error:
            wrong.append(f"{file}:{line}: {error}")
        except CoatcheckError as error:
            wrong.append(f"{file}:{line}: {error.message}")
    if wrong:
        raise _unfit("\n".join(wrong))
    return found


def _rows_of(file: Path, text: str) -> list[tuple[int, Mapping[Any, Any]]]:
    reader = csv.DictReader(io.StringIO(text), strict=True, skipinitialspace=True)
    try:
        columns: Sequence[str] = reader.fieldnames or ()
        if "name" not in columns or len(set(columns)) != len(columns):
            raise _unfit(f"{file} has no column name, or a column twice")
        return [(reader.line_num, row) for row in reader if any(row.values())]
    except csv.Error as error:
        raise _unfit(f"{file}:{reader.line_num}: {error}") from None


def _lines_of(file: Path, text: str) -> list[tuple[int, Mapping[Any, Any]]]:
    found: list[tuple[int, Mapping[Any, Any]]] = []
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError):
            row = None
        if not isinstance(row, dict):
            raise _unfit(f"{file}:{number}: this is no JSON object")
        found.append((number, row))
    return found


def _wanted(folder: Path, row: Mapping[Any, Any]) -> Wanted:
    """Return what a row asks for; nothing of its cells is told, since a secret may be among them."""
    if any(name not in _KNOWN for name in row) or not all(
        isinstance(cell, str | None) for cell in row.values()
    ):
        raise ValueError("it has more than name, file, env and expires, or one that is no text")
    cells = {name: (row.get(name) or "").strip() for name in _KNOWN}
    if not cells["name"]:
        raise ValueError("name is empty")
    if bool(cells["file"]) == bool(cells["env"]):
        raise ValueError("it has neither file nor env, or both")
    path = os.fspath(folder / Path(cells["file"]).expanduser()) if cells["file"] else None
    name = check_name(cells["name"])
    expires = options.expiry_of(cells["expires"]) if cells["expires"] else Expiry()
    return Wanted(name, material(name, Origin(path, cells["env"] or None)), expires)


def _unfit(message: str, fix: str = _FORM) -> Stop:
    return unfit(message, fix)
