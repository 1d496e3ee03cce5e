"""Reading many records: the indexes on exceptions serve the questions they were made for."""

from __future__ import annotations

import itertools
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.dialects import sqlite

from coatcheck.model.record import Outcome, RecordEntry, RecordFilter, Verdict
from coatcheck.store.engines.sqlite import SqliteDatabase
from coatcheck.store.engines.sqlite_connection import connect
from coatcheck.store.records import conditions, reading
from coatcheck.store.records.matching import matches
from coatcheck.store.records.rows import ENTRIES, record_row, settlement_row
from coatcheck.store.records.statements import statements_for
from coatcheck.store.tables import record
from ledgers import START, a_record, its_settlement

TOTAL = 10_000
SAY = statements_for("sqlite")


@pytest.fixture
def filled(database: SqliteDatabase) -> SqliteDatabase:
    connection = connect(database.path)
    connection.execute("BEGIN")
    outcomes = itertools.cycle([Outcome.OK] * 99 + [Outcome.TIMEOUT])
    for position in range(1, TOTAL + 1):
        made = a_record(tool=f"tool{position % 10}", subject=f"user{position % 100}")
        connection.execute(SAY.insert_record, record_row(position, made, b"", b""))
        settled = its_settlement(made, next(outcomes))
        connection.execute(SAY.insert_settlement, settlement_row(position, position, settled, b"", b""))
    connection.execute("COMMIT")
    connection.close()
    return database


def test_ten_thousand_records_can_be_listed(filled: SqliteDatabase) -> None:
    entries = filled.read_now(lambda c: reading.list_entries(c, RecordFilter(limit=TOTAL)))
    assert [entry.position for entry in entries] == list(range(1, TOTAL + 1))
    errors = filled.read_now(lambda c: reading.list_entries(c, RecordFilter(errors=True, limit=50)))
    assert [entry.position for entry in errors] == list(range(5_100, TOTAL + 1, 100))


def test_pages_of_settled_entries_join_without_a_gap(filled: SqliteDatabase) -> None:
    found: list[int] = []

    def next_page() -> list[tuple[int, RecordEntry]]:
        cursor = found[-1] if found else 100
        wanted = RecordFilter(tool="tool3")
        return filled.read_now(lambda c: reading.page_settled(c, wanted, cursor, TOTAL - 5))

    while page := next_page():
        assert len(page) <= reading.PAGE
        found += [sequence for sequence, _ in page]
    assert found == list(range(103, TOTAL - 5, 10))
    assert filled.read_now(lambda c: reading.first_sequence_beyond(c, 4_000)) == 4_001
    assert filled.read_now(lambda c: reading.first_sequence_beyond(c, TOTAL)) is None


@pytest.mark.parametrize("nearest", [8, 50])
def test_a_clock_set_back_hides_nothing(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, nearest: int
) -> None:
    """Unless it was set back over more records than are looked at."""
    monkeypatch.setattr(conditions, "NEAREST", nearest)
    hours = [0, 5, 1, 6, 2, 7, 3, 0]
    connection = connect(database.path)
    for position, hour in enumerate(hours, 1):
        made = a_record(at=START + timedelta(hours=hour))
        connection.execute(SAY.insert_record, record_row(position, made, b"", b""))
    connection.close()

    def late(since: int) -> list[int]:
        wanted = RecordFilter(since=START + timedelta(hours=since))
        return [e.position for e in database.read_now(lambda c: reading.list_entries(c, wanted))]

    def early(until: int) -> list[int]:
        wanted = RecordFilter(until=START + timedelta(hours=until))
        return [e.position for e in database.read_now(lambda c: reading.list_entries(c, wanted))]

    for hour in range(9):
        assert late(hour) == [position for position, at in enumerate(hours, 1) if at >= hour]
        assert early(hour) == [position for position, at in enumerate(hours, 1) if at < hour]


@pytest.mark.parametrize(
    ("wanted", "index"),
    [
        (RecordFilter(decision=Verdict.REFUSED), "ix_record_not_allowed"),
        (RecordFilter(errors=True), "ix_settlement_not_ok"),
        (RecordFilter(tool="tool3", server="jira"), "ix_record_server_position"),
        (RecordFilter(grant="a label"), "ix_record_label"),
        (RecordFilter(credential="alpha"), "ix_used_credential_position_version"),
        (RecordFilter(subject="user3"), "ix_record_subject_position"),
        (RecordFilter(server="jira", tool="x"), "ix_record_server_position"),
    ],
)
def test_a_question_is_served_by_its_index(filled: SqliteDatabase, wanted: RecordFilter, index: str) -> None:
    meant = filled.read_now(lambda c: conditions.conditions_of(c, wanted))
    asked = ENTRIES.where(*meant).order_by(record.c.position.desc()).limit(100)
    literal = {"literal_binds": True}
    sql = str(asked.compile(dialect=sqlite.dialect(), compile_kwargs=literal))
    plan = filled.read_now(lambda c: c.exec_driver_sql(f"EXPLAIN QUERY PLAN {sql}").all())
    assert any(index in row[3] for row in plan), plan


def test_what_is_hard_to_find_is_looked_for_part_by_part(
    filled: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(reading, "LOOKED", 3_000)
    monkeypatch.setattr(conditions, "FEW", 50)
    for wanted in (RecordFilter(client_ip="192.0.2.1"), RecordFilter(subject="user3", tool="tool4")):
        before, ends = None, list[int | None]()
        while before is not None or not ends:
            meant = replace(wanted, before=before)
            looked = filled.read_now(lambda c: reading.look_back(c, meant))  # noqa: B023 - at once
            assert not looked.entries
            assert (looked.before is None) == (looked.back_to is None)
            before = looked.before
            ends.append(before)
        assert ends == [7_001, 4_001, 1_001, None]
    some = RecordFilter(subject="user3", tool="tool3", limit=30)
    looked = filled.read_now(lambda c: reading.look_back(c, some))
    assert (len(looked.entries), looked.before) == (30, None)
    more = filled.read_now(lambda c: reading.look_back(c, replace(some, limit=40)))
    assert (len(more.entries), more.before) == (30, 7_001)
    easy = filled.read_now(lambda c: reading.look_back(c, RecordFilter(subject="user3", limit=100)))
    assert len(easy.entries) == 100


@pytest.mark.parametrize("few", [5, 5_000])
def test_errors_are_found_whether_they_are_many_or_few(
    filled: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, few: int
) -> None:
    monkeypatch.setattr(conditions, "FEW", few)
    found = filled.read_now(lambda c: reading.list_entries(c, RecordFilter(errors=True, limit=50)))
    assert [entry.position for entry in found] == list(range(5_100, TOTAL + 1, 100))
    assert (
        len(filled.read_now(lambda c: reading.list_entries(c, RecordFilter(errors=True, subject="user0"))))
        == 100
    )


FAILED = {100, 200, 300}
REFUSED = {150, 250}


@pytest.fixture
def mixed(database: SqliteDatabase) -> SqliteDatabase:
    """Three hundred calls of two clients: some failed, some were refused, one says what was wrong."""
    connection = connect(database.path)
    for position in range(1, 301):
        refused = position in REFUSED
        made = a_record(
            client_name="zed" if position % 3 == 0 else "cursor",
            decision=Verdict.REFUSED if refused else Verdict.ALLOWED,
            reason="100%_sure" if position == 7 else "",
        )
        outcome = Outcome.DENIED if refused else Outcome.TIMEOUT if position in FAILED else Outcome.OK
        settled = its_settlement(made, outcome, detail="Slow Query" if position == 200 else "")
        connection.execute(SAY.insert_record, record_row(position, made, b"", b""))
        connection.execute(SAY.insert_settlement, settlement_row(position, position, settled, b"", b""))
    connection.close()
    return database


@pytest.mark.parametrize("few", [1, 1_000], ids=["common", "rare"])
@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (RecordFilter(failed=True), FAILED),
        (RecordFilter(not_allowed=True), REFUSED),
        (RecordFilter(errors=True), FAILED | REFUSED),
        (RecordFilter(failed=True, client="zed"), {300}),
        (RecordFilter(not_allowed=True, text="nothing"), set()),
        (RecordFilter(text="slow q"), {200}),
        (RecordFilter(text="0%_s"), {7}),
        (RecordFilter(text="0%s"), set()),
        (RecordFilter(client="zed", limit=2), {297, 300}),
        (RecordFilter(client="ze"), set()),
    ],
)
def test_failures_refusals_clients_and_texts_are_found_whether_rare_or_common(
    mixed: SqliteDatabase, monkeypatch: pytest.MonkeyPatch, few: int, wanted: RecordFilter, found: set[int]
) -> None:
    monkeypatch.setattr(conditions, "FEW", few)
    listed = mixed.read_now(lambda c: reading.list_entries(c, wanted))
    looked = mixed.read_now(lambda c: reading.look_back(c, wanted))
    everything = mixed.read_now(lambda c: reading.list_entries(c, RecordFilter(limit=300)))
    assert {entry.position for entry in listed} == found
    assert {entry.position for entry in looked.entries} == found
    assert looked.before is None
    by_hand = [entry.position for entry in everything if matches(entry, wanted)]
    assert by_hand[-wanted.limit :] == [entry.position for entry in listed]


def test_what_went_wrong_long_ago_is_found_past_all_that_went_well_since(
    database: SqliteDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(conditions, "FEW", 10)
    connection = connect(database.path)
    for position in range(1, 4_001):
        outcome = Outcome.OK if position > 60 else [Outcome.TIMEOUT, Outcome.OK, Outcome.DENIED][position % 3]
        decision = Verdict.DENIED if outcome is Outcome.DENIED else Verdict.ALLOWED
        made = a_record(decision=decision, at=START + timedelta(seconds=position))
        connection.execute(SAY.insert_record, record_row(position, made, b"", b""))
        settled = its_settlement(made, outcome)
        connection.execute(SAY.insert_settlement, settlement_row(position, position, settled, b"", b""))
    connection.close()
    wrong = [position for position in range(1, 61) if position % 3 != 1]
    for wanted, right in (
        (RecordFilter(errors=True, limit=10), wrong[-10:]),
        (RecordFilter(errors=True, limit=100), wrong),
        (RecordFilter(errors=True, before=30, limit=4), [one for one in wrong if one < 30][-4:]),
        (RecordFilter(errors=True, until=START + timedelta(seconds=20)), [one for one in wrong if one < 20]),
        (RecordFilter(errors=True, since=START + timedelta(seconds=50)), [one for one in wrong if one >= 50]),
    ):
        listed, steps = steps_of(database, wanted)
        assert [entry.position for entry in listed] == right, wanted
        if wanted.since is None and wanted.until is None:  # to find a time costs steps of its own
            assert steps < 4_000, wanted  # less than one for each call that went well since


def steps_of(database: SqliteDatabase, wanted: RecordFilter) -> tuple[list[RecordEntry], int]:
    """Return what is found, and how many steps of SQLite that took: some ten for each row."""
    steps = 0

    def count() -> None:
        nonlocal steps
        steps += 100

    def read(reading_from: Connection) -> list[RecordEntry]:
        driver: Any = reading_from.connection.driver_connection
        driver.set_progress_handler(count, 100)
        try:
            return list(reading.look_back(reading_from, wanted).entries)
        finally:
            driver.set_progress_handler(None, 0)

    return database.read_now(read), steps
