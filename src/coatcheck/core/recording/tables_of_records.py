"""Record entries as CSV (RFC 4180), one row each, in a form that no spreadsheet takes for a formula."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Iterable
from typing import Any, Final

from coatcheck.core.recording.record_lines import FIELDS, line_of
from coatcheck.model.reading import Held

COLUMNS: Final = ("seq", "hash", *FIELDS)
"""The columns of an export: number and hash of the outcome, then the fields of a line."""
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")


def header() -> bytes:
    """Return the first row: the names of the columns."""
    return csv_rows([COLUMNS])


def row_of(held: Held) -> bytes:
    """Return the row of a call. Lists are separated by spaces, objects are JSON."""
    line = line_of(held.entry)
    return csv_rows([(held.seq, held.hash.hex(), *(line[name] for name in FIELDS))])


def csv_rows(rows: Iterable[Iterable[Any]]) -> bytes:
    """Return rows as UTF-8. A text that a spreadsheet would take for a formula gets an apostrophe first."""
    text = io.StringIO()
    csv.writer(text).writerows([_cell(value) for value in row] for row in rows)
    return text.getvalue().encode("utf-8", "backslashreplace")


def _cell(value: Any) -> str | int | float:
    if value is None:
        return ""
    if isinstance(value, int | float):
        return value
    if isinstance(value, list) and all(isinstance(one, str) for one in value):
        return _safe(" ".join(value))
    return _safe(value if isinstance(value, str) else json.dumps(value, separators=(",", ":")))


def plain_cell(text: str) -> str:
    """Return the text that a cell stands for."""
    return text[1:] if text.startswith("'") and text[1:].startswith(_FORMULA) else text


def _safe(text: str) -> str:
    return f"'{text}" if text.startswith(_FORMULA) else text
