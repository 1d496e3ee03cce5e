"""The gateways without durable records are what the page says they are, and the product is none of them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from bench import lax

ROOT = Path(__file__).parents[2]

LOOK = """
import asyncio, sys
from pathlib import Path
from bench import lax
if sys.argv[1]:
    lax.begin(sys.argv[1])
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.model.record import RecordFilter
from ledgers import TickingClock, a_record, its_settlement

async def main(database):
    ledger = await StoredLedger.open(database, TickingClock())
    print(ledger._writer._driver.connection.execute("PRAGMA synchronous").fetchone()[0])
    database.turn.__enter__()  # nothing can be written until it is given back
    record = a_record()
    try:
        async with asyncio.timeout(0.2):
            await ledger.record(record)
            await ledger.settle(its_settlement(record))
            print("did not wait")
    except TimeoutError:
        print("waited")
    database.turn.__exit__()
    await ledger.close()
    print(len(await ledger.list(RecordFilter())))

database = SqliteDatabase.open(Path(sys.argv[2]))
asyncio.run(main(database))
database.close()
"""


@pytest.mark.parametrize(
    ("kind", "told"),
    [
        ("", ["2", "waited", "1"]),
        ("unsynced", ["0", "waited", "1"]),
        ("unwaited", ["0", "did not wait", "1"]),
    ],
)
def test_what_each_does_without(kind: str, told: list[str], tmp_path: Path) -> None:
    command = [sys.executable, "-c", LOOK, kind, str(tmp_path / "data")]
    ended = subprocess.run(
        command,
        env={"PYTHONPATH": ":".join([str(ROOT), str(ROOT / "src"), str(ROOT / "tests")])},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.stdout.splitlines() == told, ended.stderr


def test_there_are_no_others() -> None:
    with pytest.raises(ValueError, match="none of unsynced, unwaited"):
        lax.begin("")


def test_the_product_knows_nothing_of_them() -> None:
    said = [
        line
        for path in (ROOT / "src" / "coatcheck" / "store").rglob("*.py")
        for line in path.read_text().splitlines()
    ]
    assert [line.strip() for line in said if "synchronous = " in line] == ['"synchronous = FULL",']
    assert not [line for line in said if "unwaited" in line or "bench.lax" in line]
