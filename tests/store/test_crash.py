"""A gateway killed at any moment loses nothing that it acknowledged and leaves nothing open."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections import defaultdict
from pathlib import Path

from coatcheck.model.record import Outcome, RecordFilter
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.reconciling import STOPPED
from ledgers import TickingClock, ended

KILLS = 10
CHILD = Path(__file__).with_name("crash_child.py")


def notes_in(path: Path) -> dict[str, set[str]]:
    found = defaultdict(set)
    for line in path.read_text().splitlines() if path.exists() else []:
        kind, _, id = line.partition(" ")
        found[kind].add(id)
    return found


def run_and_kill(directory: Path, notes: Path, settled: int) -> None:
    paths = [str(CHILD.parents[1]), *(path for path in sys.path if path)]
    child = subprocess.Popen(
        [sys.executable, str(CHILD), str(directory), str(notes)],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(paths)},
    )
    try:
        deadline = time.monotonic() + 30
        while len(notes_in(notes)["settled"]) < settled and time.monotonic() < deadline:
            assert child.poll() is None, "the child ended by itself"
            time.sleep(0.002)
    finally:
        child.kill()
        child.wait()


async def test_killed_again_and_again_it_loses_nothing_acknowledged(directory: Path, tmp_path: Path) -> None:
    notes = tmp_path / "notes"
    for kill in range(1, KILLS + 1):
        run_and_kill(directory, notes, settled=kill * 40 + kill)
    noted = notes_in(notes)
    assert len(noted["settled"]) >= KILLS * 40

    database = SqliteDatabase.open(directory)
    ledger = await StoredLedger.open(database, TickingClock())
    entries = await ledger.list(RecordFilter(limit=1_000_000))
    present = {str(entry.record.id): entry for entry in entries}
    assert noted["recorded"] - present.keys() == set()
    assert present.keys() - noted["tried"] == set()
    assert len(present) == len(entries)
    for id in noted["settled"]:
        assert ended(present[id]).outcome is Outcome.OK
    outcomes = {(ended(e).outcome, ended(e).detail) for e in entries}
    assert outcomes <= {(Outcome.OK, ""), (Outcome.UNKNOWN, STOPPED)}
    positions = [entry.position for entry in entries]
    assert positions == sorted(set(positions))
    await ledger.close()
    database.close()


async def test_a_start_settles_what_the_last_run_left_open(directory: Path) -> None:
    run_and_kill(directory, directory.parent / "notes", settled=5)
    reader = SqliteDatabase.open_to_read(directory)
    reader.close()
    database = SqliteDatabase.open(directory)
    first = await StoredLedger.open(database, TickingClock())
    entries = await first.list(RecordFilter(limit=1_000_000))
    assert entries
    assert all(entry.settlement is not None for entry in entries)
    await first.close()
    second = await StoredLedger.open(database, TickingClock())
    assert await second.list(RecordFilter(limit=1_000_000)) == entries, "a second start changes nothing"
    await second.close()
    database.close()
