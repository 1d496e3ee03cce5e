"""The bench of searches: its store is one that the gateway itself can read, and its rows fit their entries."""

from __future__ import annotations

from pathlib import Path

import pytest

from bench import records
from coatcheck.store.opening import open_to_read
from coatcheck.store.records.chained import found_between
from coatcheck.store.records.reading import list_entries


async def test_a_small_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    records.fill(tmp_path / "store", 3_000)
    database = open_to_read(tmp_path / "store", None)
    try:
        assert not [one.odd for one in database.read_now(lambda c: found_between(c, 1, 6_000)) if one.odd]
        counts = {
            words: len(database.read_now(lambda c: list_entries(c, wanted)))  # noqa: B023 - at once
            for words, wanted in records.questions(3_000).items()
        }
        records.ask(database, 3_000)
        await records.read(database, 3_000)
    finally:
        database.close()
    assert counts["the newest"] == counts["of a server"] == 100
    assert counts["that went wrong"]
    assert not counts["from an address that there is not"]
    told = capsys.readouterr().out
    assert "export as jsonl, all of it: 6001 lines" in told
    assert "blast radius of a credential" in told
