"""What the table of uses says of a record is compared with the record: rows removed, changed, added, or of no record."""

from __future__ import annotations

import pytest

from coatcheck.model.record import Outcome
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.records.uses import odd_uses, stray_use
from ledgers import TickingClock, a_record, its_settlement
from store.conftest import OpenDatabase

EDITS = {
    "removed": ("DELETE FROM used WHERE position = 1", [1]),
    "another credential": ("UPDATE used SET credential = 'other' WHERE position = 1", [1]),
    "another version": ("UPDATE used SET version = 3 WHERE position = 1", [1]),
    "added": ("INSERT INTO used (credential, position, version) VALUES ('key', 5, 1)", [5]),
    "moved": ("UPDATE used SET position = 5 WHERE position = 3", [3, 5]),
}


async def fill(ledger: StoredLedger) -> None:
    """Records 1, 3 and 5, settled by 2, 4 and 6; the last was with no credential, the second lost its outcome."""
    first, second, third = a_record(), a_record(credentials=("key@2",)), a_record(credentials=("key@2",))
    await ledger.record(first)
    await ledger.settle(its_settlement(first, credentials=("key@1", "spare@7")))
    await ledger.record(second)
    await ledger.settle(its_settlement(second, Outcome.UNKNOWN))
    await ledger.record(third)
    await ledger.settle(its_settlement(third))
    await ledger.close()


@pytest.mark.parametrize("edit", EDITS)
async def test_an_edit_of_the_uses_is_found(open_any: OpenDatabase, edit: str) -> None:
    database = open_any()
    await fill(await StoredLedger.open(database, TickingClock()))
    assert database.read_now(lambda reading: odd_uses(reading, 1, 100)) == []
    statement, found = EDITS[edit]
    await database.write(lambda writing: writing.exec_driver_sql(statement))
    assert database.read_now(lambda reading: odd_uses(reading, 1, 100)) == found
    assert database.read_now(lambda reading: odd_uses(reading, 7, 100)) == []
    assert database.read_now(stray_use) is None


async def test_a_use_of_no_record_is_found(open_any: OpenDatabase) -> None:
    database = open_any()
    await fill(await StoredLedger.open(database, TickingClock()))
    assert database.read_now(stray_use) is None
    added = "INSERT INTO used (credential, position, version) VALUES ('key', 77, 1)"
    await database.write(lambda writing: writing.exec_driver_sql(added))
    assert database.read_now(stray_use) == 77
