"""Tables for spreadsheets, in which no cell is ever taken for a formula (RFC 4180)."""

from __future__ import annotations

import csv
import io
from collections.abc import AsyncIterator, Iterable, Sequence
from datetime import UTC, datetime
from typing import Final

CSV: Final = "text/csv; charset=utf-8"
TEXT: Final = "text/plain; charset=utf-8"
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r", "\n")

Cell = str | int | datetime | None


def lines(rows: Iterable[Sequence[Cell]]) -> bytes:
    """Return rows as CSV. What a spreadsheet would calculate gets a quote before it."""
    written = io.StringIO()
    csv.writer(written, lineterminator="\r\n").writerows([[_told(cell) for cell in row] for row in rows])
    return written.getvalue().encode("utf-8", "replace")


async def whole(body: bytes) -> AsyncIterator[bytes]:
    """Yield a file that is at hand."""
    yield body


def _told(cell: Cell) -> str:
    if cell is None:
        return ""
    if isinstance(cell, datetime):
        return cell.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    text = str(cell)
    return f"'{text}" if isinstance(cell, str) and text.lstrip(" ").startswith(_FORMULA) else text
