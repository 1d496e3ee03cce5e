"""A record and its settlement survive the way into a row and back, whatever they hold."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, create_engine, text
from sqlalchemy.pool import StaticPool

from coatcheck.core.recording.stored import stored_record, stored_settlement
from coatcheck.model.record import Outcome, Record, RecordEntry, Settlement, Verdict
from coatcheck.store.columns import micros_of, time_of
from coatcheck.store.engines.driver import without_surrogates
from coatcheck.store.records.rows import ENTRIES, entry_of, record_row, sequence_of, settlement_row, writable
from coatcheck.store.records.statements import statements_for
from coatcheck.store.tables import metadata
from ledgers import a_record

SAY = statements_for("sqlite")
FIRST, LAST = datetime(1970, 1, 2), datetime(9999, 12, 30)  # noqa: DTZ001  # the zone is added
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
zones = st.sampled_from([UTC, timezone(timedelta(hours=5, minutes=30)), timezone(timedelta(hours=-8))])
times = st.datetimes(min_value=FIRST, max_value=LAST, timezones=zones)
records = st.builds(
    Record,
    id=st.uuids(),
    at=times,
    **{name: texts for name, kind in Record.__annotations__.items() if kind == "str"},
    decision=st.sampled_from(Verdict),
    repeats=st.integers(1, 2**31),
)
seconds = st.floats(min_value=0, max_value=1e9)


@pytest.fixture(scope="module")
def connection() -> Iterator[Connection]:
    engine = create_engine("sqlite://", poolclass=StaticPool)
    metadata.create_all(engine)
    with engine.connect() as opened:
        yield opened
    engine.dispose()


@settings(deadline=None)
@given(record=records, outcome=st.sampled_from(Outcome), at=times, seconds=seconds, detail=texts)
def test_a_round_trip_changes_nothing(
    connection: Connection, record: Record, outcome: Outcome, at: datetime, seconds: float, detail: str
) -> None:
    connection.execute(text("DELETE FROM settlement"))
    connection.execute(text("DELETE FROM record"))
    settlement = Settlement(record.id, at, outcome, seconds, detail)
    connection.exec_driver_sql(SAY.insert_record, record_row(1, record, stored_record(record), b""))
    assert [entry_of(row) for row in connection.execute(ENTRIES)] == [RecordEntry(1, record, None)]
    connection.exec_driver_sql(
        SAY.insert_settlement, settlement_row(7, 1, settlement, stored_settlement(1, settlement), b"")
    )
    rows = connection.execute(ENTRIES).all()
    assert [entry_of(row) for row in rows] == [RecordEntry(1, record, settlement)]
    assert [sequence_of(row) for row in rows] == [7]


@settings(deadline=None)
@given(first=times, second=times)
def test_stored_times_sort_as_times_do(first: datetime, second: datetime) -> None:
    assert (micros_of(first) < micros_of(second)) == (first < second)
    assert time_of(micros_of(first)) == first


@settings(deadline=None)
@given(st.text(st.characters()))
def test_a_writable_row_can_be_written(value: str) -> None:
    made = writable(a_record(tool=value, roles=(value,)), without_surrogates).tool
    assert isinstance(made, str)
    assert made.encode("utf-8").decode("utf-8") == made
    if value.isprintable():
        assert made == value
