"""The ledger as sinks read it, on both databases: order, whole places, counting, and cursors."""

from __future__ import annotations

from uuid import uuid4

import pytest
from sqlalchemy import insert

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.change import ChangeEntry
from coatcheck.model.record import RecordEntry
from coatcheck.model.sink import Copy
from coatcheck.store.copies import StoredCopies, list_cursors, wanted_after
from coatcheck.store.engines.database import Database
from coatcheck.store.records.ledger import StoredLedger
from coatcheck.store.tables import change
from doubles.copies import CHANGE
from ledgers import TickingClock, a_record, its_settlement


async def pages(copies: StoredCopies, most: int, after: int = 0) -> list[list[Copy]]:
    found = []
    while page := await copies.page(after, most):
        found.append(list(page))
        after = page[-1].seq
    return found


async def test_settled_records_come_in_the_order_of_settling(any_database: Database) -> None:
    copies = StoredCopies(any_database)
    assert (await copies.last(), await copies.page(0, 10), await copies.count(0, 10)) == (0, [], 0)
    ledger = await StoredLedger.open(any_database, TickingClock())
    first, second, third = a_record(tool="1"), a_record(tool="2"), a_record(tool="3")
    for record in (first, second, third):
        await ledger.record(record)
    for record in (third, first):
        await ledger.settle(its_settlement(record))
    await ledger.close()
    page = await copies.page(0, 10)
    assert [copy.of.record.tool for copy in page if isinstance(copy.of, RecordEntry)] == ["3", "1"]
    assert page[0].seq < page[1].seq == await copies.last()
    assert await copies.page(page[1].seq, 10) == []
    assert await copies.count(0, 10) == 2
    assert await copies.count(0, 1) == 1
    assert await copies.count(page[0].seq, 10) == 1


@pytest.mark.parametrize("most", [1, 3, 200])
async def test_pages_miss_and_double_nothing(any_database: Database, most: int) -> None:
    ledger = await StoredLedger.open(any_database, TickingClock())
    for number in range(20):
        record = a_record(tool=str(number))
        await ledger.record_settled(record, its_settlement(record))
    await ledger.close()
    found = await pages(StoredCopies(any_database), most)
    assert all(len(page) <= most for page in found)
    tools = [copy.of.record.tool for page in found for copy in page if isinstance(copy.of, RecordEntry)]
    assert tools == [str(number) for number in range(20)]


async def test_cursors_are_kept_moved_and_forgotten(any_database: Database) -> None:
    copies = StoredCopies(any_database)
    await copies.keep({"siem": 3, "archive": 0})
    await copies.keep({"siem": 1 << 40})
    await copies.keep({})
    assert await copies.list() == {"siem": 1 << 40, "archive": 0}
    await copies.forget(["archive", "none"])
    assert any_database.read_now(list_cursors) == {"siem": 1 << 40}


async def test_a_store_that_cannot_be_read_says_so(any_database: Database) -> None:
    copies = StoredCopies(any_database)
    any_database.close()
    with pytest.raises(LedgerUnavailable, match="cannot be copied"):
        await copies.last()


@pytest.mark.parametrize("most", [1, 2, 7, 200])
async def test_changes_come_between_and_equal_places_are_never_parted(
    any_database: Database, most: int
) -> None:
    """In a store from before both were counted together a record and a change can have one place."""
    ledger = await StoredLedger.open(any_database, TickingClock())
    for number in range(10):
        record = a_record(tool=str(number))
        await ledger.record_settled(record, its_settlement(record))
    await ledger.close()
    copies = StoredCopies(any_database)
    settled = [copy.seq for page in await pages(copies, 200) for copy in page]
    places = [settled[0], settled[3], settled[3] + 100_000, settled[9]]
    rows = [
        {**{name: getattr(CHANGE, name) for name in CHANGE.__slots__}, "id": uuid4(), "kind": "grant", "position": place}
        for place in places
    ]  # fmt: skip
    any_database.write_now(lambda writing: writing.execute(insert(change), rows).rowcount)
    found = await pages(copies, most)
    seqs = [copy.seq for page in found for copy in page]
    assert seqs == sorted([*settled, *places])
    assert [page[-1].seq for page in found] == sorted({page[-1].seq for page in found})
    assert all(len(page) <= most + 1 for page in found)
    assert sum(isinstance(copy.of, ChangeEntry) for page in found for copy in page) == 4
    assert await copies.last() == places[2]
    assert await copies.count(0, 100) == 14


async def test_what_no_sink_wants_any_more(any_database: Database) -> None:
    copies = StoredCopies(any_database)
    ledger = await StoredLedger.open(any_database, TickingClock())
    late = a_record(tool="late")
    await ledger.record(late)
    for number in range(5):
        record = a_record(tool=str(number))
        await ledger.record_settled(record, its_settlement(record))
    assert any_database.read_now(wanted_after) is None
    level = await copies.last()
    await copies.keep({"siem": level, "slow": 0})
    assert any_database.read_now(wanted_after) == 0
    await copies.forget(["slow"])
    assert any_database.read_now(wanted_after) == level
    await ledger.settle(its_settlement(late))
    page = await copies.page(0, 200)
    (settled,) = (copy.of.position for copy in page if copy.seq > level and isinstance(copy.of, RecordEntry))
    assert any_database.read_now(wanted_after) == settled - 1 < level
    await copies.keep({"siem": await copies.last()})
    assert any_database.read_now(wanted_after) == await copies.last()
    await ledger.close()
