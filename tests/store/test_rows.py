"""A record and its settlement survive the way into a row and back, whatever they hold."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import create_engine, text
from sqlalchemy.pool import StaticPool

from coatcheck.model.record import Outcome, Record, RecordEntry, Settlement, Verdict
from coatcheck.store.rows import (
    ENTRIES,
    INSERT_RECORD,
    INSERT_SETTLEMENT,
    entry_of,
    record_row,
    sequence_of,
    settlement_row,
    writable,
)
from coatcheck.store.tables import metadata, micros_of, time_of

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
times = st.datetimes(min_value=datetime(1970, 1, 2), max_value=datetime(9999, 12, 30), timezones=zones)
records = st.builds(
    Record,
    id=st.uuids(),
    at=times,
    **dict.fromkeys(
        "subject grant_id grant_label route server method tool rule reason client_ip client_name "
        "client_version arguments".split(),
        texts,
    ),
    decision=st.sampled_from(Verdict),
    repeats=st.integers(1, 2**31),
)
seconds = st.floats(min_value=0, max_value=1e9)


@pytest.fixture(scope="module")
def connection():
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


@given(record=records, outcome=st.sampled_from(Outcome), at=times, seconds=seconds, detail=texts)
def test_a_round_trip_changes_nothing(connection, record, outcome, at, seconds, detail):
    settlement = Settlement(record.id, at, outcome, seconds, detail)
    connection.exec_driver_sql(INSERT_RECORD, record_row(1, record))
    assert [entry_of(row) for row in connection.execute(ENTRIES)] == [RecordEntry(1, record, None)]
    connection.exec_driver_sql(INSERT_SETTLEMENT, settlement_row(7, 1, settlement))
    rows = connection.execute(ENTRIES).all()
    assert [entry_of(row) for row in rows] == [RecordEntry(1, record, settlement)]
    assert [sequence_of(row) for row in rows] == [7]
    connection.execute(text("DELETE FROM settlement"))
    connection.execute(text("DELETE FROM record"))


@given(first=times, second=times)
def test_stored_times_sort_as_times_do(first, second):
    assert (micros_of(first) < micros_of(second)) == (first < second)
    assert time_of(micros_of(first)) == first


@given(st.text())
def test_a_writable_row_can_be_written(value):
    (made,) = writable((value,))
    assert made.encode("utf-8")
    if value.isprintable():
        assert made == value
