"""Tables for spreadsheets: what is in them is text, whatever it looks like."""

from __future__ import annotations

import csv
import io
from datetime import UTC, datetime

import pytest

from coatcheck.console.web.sheets import lines


def read(row: list[object]) -> list[str]:
    (told,) = csv.reader(io.StringIO(lines([row]).decode(), newline=""))  # type: ignore[list-item]
    return told


@pytest.mark.parametrize("cell", ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "\n=1"])
def test_nothing_is_taken_for_a_formula(cell: str) -> None:
    assert read([cell, "plain"]) == [f"'{cell}", "plain"]


def test_everything_else_is_told_as_it_is() -> None:
    told = read(['a,"b"\nc', 7, -7, None, datetime(2026, 11, 22, 5, 0, tzinfo=UTC), "a=b", ""])
    assert told == ['a,"b"\nc', "7", "-7", "", "2026-11-22T05:00:00Z", "a=b", ""]
