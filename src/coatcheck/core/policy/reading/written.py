"""A document as it was written: its plain values, and the line on which each place begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Written:
    """A value of plain types with exact numbers, and the line that each place begins on, by JSON Pointer."""

    value: Any
    lines: Mapping[str, int]

    def line_of(self, where: str) -> int:
        """Return the line of a place, or of the nearest one around it that has one; 0 for none."""
        while where and where not in self.lines:
            where = where.rpartition("/")[0]
        return self.lines.get(where, 0)
