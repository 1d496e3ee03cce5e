"""The places of rows are found in a file, on leaves, below interior pages and where rows overflow."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from coatcheck.prove.pages import Pages


def made(path: Path, rows: list[bytes], page_size: int) -> tuple[bytes, int]:
    with sqlite3.connect(path) as database:
        database.execute(f"PRAGMA page_size = {page_size}")
        database.execute("CREATE TABLE other (content BLOB)")
        database.execute("CREATE TABLE entry (content BLOB)")
        for row in rows:
            database.execute("INSERT INTO other VALUES (?)", (row[::-1],))
            database.execute("INSERT INTO entry VALUES (?)", (row,))
        (root,) = database.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'entry'").fetchone()
    database.close()
    return path.read_bytes(), root


@pytest.mark.parametrize("page_size", [512, 4096, 65536])
@pytest.mark.parametrize("length", [3, 400, 480, 5_000, 200_000])
@pytest.mark.parametrize("count", [1, 60])
def test_every_byte_of_every_row_is_found(tmp_path: Path, page_size: int, length: int, count: int) -> None:
    if length * count > 1_000_000:
        count = 4
    rows = [bytes([1 + number]) * length for number in range(count)]
    image, root = made(tmp_path / "database", rows, page_size)
    held = b"".join(image[one.start : one.stop] for one in Pages(image).bytes_of(root))
    for row in rows:
        assert held.count(row[:1]) >= length
    covered = {at for one in Pages(image).bytes_of(root) for at in one}
    assert len(covered) == sum(len(one) for one in Pages(image).bytes_of(root)), "no byte is there twice"
    assert len(covered) < sum(map(len, rows)) * 1.2 + 20 * count + 64, "and no free space is among them"
