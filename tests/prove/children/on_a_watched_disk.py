"""Writes rows on a disk that fails as it is told to, says what became of each, and leaves by the quick way."""

from __future__ import annotations

import os
import sqlite3
import sys
from pathlib import Path

from coatcheck.prove.faults import Faults, Plan
from coatcheck.prove.vfs import Between, Failure

home = Path(sys.argv[1])
between = Between(Faults(home / "plan", home / "diary"), "coatcheck.sqlite3")
database = sqlite3.connect(home / "coatcheck.sqlite3", isolation_level=None)
database.execute("PRAGMA journal_mode = WAL")
database.execute("PRAGMA synchronous = FULL")
database.execute("CREATE TABLE entry (content TEXT)")


def add() -> None:
    try:
        database.execute("INSERT INTO entry VALUES ('one more')")
        print(database.execute("SELECT count(*) FROM entry").fetchone()[0])
    except sqlite3.Error as error:
        print(error)


add()
for plan in (Plan("sync", 1, Failure.SYNC), Plan("write", 1, Failure.FULL)):
    plan.write_to(home / "plan")
    add()
    (home / "plan").unlink()
    add()
sys.stdout.flush()
os._exit(0)
