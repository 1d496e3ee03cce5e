"""Pauses before a stream is opened again: what the server asked for, never a hot loop, never for ever."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.wire.reopening import FLOOR, LEAST, MOST, before_reopening, before_resuming

COUNTS = st.integers(0, 10_000)
RETRIES = st.none() | st.integers(0, 999_999_999)
SPREADS = st.floats(0, 1)


@given(COUNTS, RETRIES)
def test_a_call_is_resumed_within_bounds(empty: int, retry: int | None) -> None:
    assert FLOOR <= before_resuming(empty, retry) <= MOST


@given(COUNTS, RETRIES, SPREADS)
def test_a_stream_is_opened_again_within_bounds(poor: int, retry: int | None, spread: float) -> None:
    assert FLOOR <= before_reopening(poor, retry, spread) <= MOST


def test_what_the_server_asked_for_is_kept_to() -> None:
    assert before_resuming(0, 500) == before_resuming(7, 500) == 0.5
    assert before_reopening(0, 500, 0.9) == 0.5
    assert before_resuming(0, 0) == before_reopening(0, 0, 0.0) == FLOOR


def test_without_a_word_of_the_server_pauses_grow() -> None:
    assert [before_resuming(n, None) for n in range(4)] == [LEAST, 2, 4, 8]
    assert [before_reopening(n, None, 1.0) for n in range(4)] == [LEAST, 2, 4, 8]
    assert [before_reopening(n, 0, 1.0) for n in range(4)] == [FLOOR, 2, 4, 8]


@given(COUNTS, SPREADS, SPREADS)
def test_who_lost_their_streams_together_come_back_apart(poor: int, one: float, other: float) -> None:
    earlier, later = sorted((one, other))
    assert before_reopening(poor, None, earlier) <= before_reopening(poor, None, later)
    assert before_reopening(poor, None, 0.0) < before_reopening(poor, None, 1.0)
