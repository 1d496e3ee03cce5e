"""What every store of browser sessions owes its callers, run on each database and in memory."""

from __future__ import annotations

import logging
from collections.abc import Callable
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from coatcheck.model.browser import Way, Whose
from coatcheck.store import tables
from coatcheck.store.browsers import StoredBrowsers
from coatcheck.store.engines.database import Database
from coatcheck.store.faults import StoreUnavailable
from ledgers import START
from sessions_of_browsers import a_session


@pytest.fixture
def store(any_database: Database) -> StoredBrowsers:
    return StoredBrowsers(any_database)


async def test_what_was_added_is_listed_equal_oldest_first(
    store: StoredBrowsers, any_database: Database, open_any: Callable[[], Database]
) -> None:
    assert await store.list() == []
    later = a_session("b" * 12, whose=Whose.SUBJECT, how=Way.GRANT, by="g", created_at=START + timedelta(1))
    await store.add(later)
    await store.add(a_session())
    any_database.close()
    assert await StoredBrowsers(open_any()).list() == [a_session(), later]


async def test_one_takes_the_place_of_others(store: StoredBrowsers) -> None:
    for id in "abc":
        await store.add(a_session(id))
    await store.add(a_session("d"), {"a", "b", "gone"})
    assert [one.id for one in await store.list()] == ["c", "d"]


async def test_an_id_is_given_once(store: StoredBrowsers) -> None:
    await store.add(a_session("a"))
    await store.add(a_session("b"))
    with pytest.raises(StoreUnavailable):
        await store.add(a_session("a"), {"b"})
    assert [one.id for one in await store.list()] == ["a", "b"], "nothing of it happened"


async def test_uses_are_noted_and_what_is_gone_stays_gone(store: StoredBrowsers) -> None:
    await store.add(a_session("a"))
    later = START + timedelta(hours=1)
    await store.note({"a": later, "gone": later})
    await store.note({})
    assert await store.list() == [a_session("a", seen_at=later)]


async def test_many_end_at_once(store: StoredBrowsers) -> None:
    for number in range(3):
        await store.add(a_session(str(number)))
    await store.end([str(number) for number in range(1_200)])
    await store.end([])
    assert await store.list() == []


async def test_what_no_column_holds_is_left_out_of_what_a_browser_says(store: StoredBrowsers) -> None:
    await store.add(a_session(agent="a\x00b\ud800c" + "x" * 300))
    (found,) = await store.list()
    assert "\x00" not in found.agent
    assert len(found.agent) == 200


@pytest.mark.parametrize(
    "edit",
    ["whose = 'king'", "how = ''", "until = 9223372036854775807"],
)
async def test_a_damaged_row_is_dropped_and_the_log_says_so(
    store: StoredBrowsers, any_database: Database, edit: str, caplog: pytest.LogCaptureFixture
) -> None:
    await store.add(a_session("a"))
    await store.add(a_session("b"))
    any_database.write_now(
        lambda writing: writing.execute(text(f"UPDATE browser_session SET {edit} WHERE id = 'a'"))
    )
    with caplog.at_level(logging.ERROR):
        assert [one.id for one in await store.list()] == ["b"]
    assert "1 browser sessions were changed outside" in caplog.text
    asked = select(tables.browser_session.c.id)
    assert any_database.read_now(lambda reading: reading.execute(asked).scalars().all()) == ["b"]


async def test_a_database_that_is_closed_says_so(store: StoredBrowsers, any_database: Database) -> None:
    await store.add(a_session("a"))
    any_database.close()
    with pytest.raises(StoreUnavailable):
        await store.list()
