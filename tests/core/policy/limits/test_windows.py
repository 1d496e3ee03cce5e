"""Sliding windows: never more than the limit in any window, all or nothing, and given back what was not used."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.policy.limits.windows import LENGTHS, PARTS, Refused, Reservation, Taken, Windows
from coatcheck.model.policy import Number, Per
from coatcheck.model.verdict import Charge

LENGTH = LENGTHS[Per.MINUTE]
PART = LENGTH // PARTS


def charge(amount: Number = 1, most: Number = 3, key: str = "k", per: Per | None = Per.MINUTE) -> Charge:
    return Charge("p:/limits/0", (key,), most, per, amount, "Used up.")


def taken(windows: Windows, now: int, *charges: Charge) -> Reservation:
    found = windows.reserve(charges or (charge(),), now)
    assert isinstance(found, Reservation)
    return found


def refused(windows: Windows, now: int, *charges: Charge) -> Refused:
    found = windows.reserve(charges or (charge(),), now)
    assert isinstance(found, Refused)
    return found


STEPS = st.one_of(
    st.integers(0, LENGTH // 2),
    st.sampled_from((0, 1, PART - 1, PART, PART + 1, LENGTH - 1, LENGTH, LENGTH + 1, -PART, -LENGTH)),
)
AMOUNTS = st.sampled_from((1, 1, 2, 0, Decimal("0.1"), Decimal("2.75")))


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.tuples(STEPS, AMOUNTS, st.sampled_from(("keep", "keep", "give back", "restart"))), max_size=60
    ),
    st.sampled_from((1, 3, Decimal("3.3"))),
)
def test_no_window_wherever_it_begins_holds_more_than_the_limit(
    steps: list[tuple[int, Number, str]], most: Number
) -> None:
    """The model keeps every call with its exact time. The gateway may be late by a sixtieth, and no more."""
    windows, kept, now, newest = Windows(), list[tuple[int, Number]](), 10 * LENGTH, 0
    for step, amount, then in steps:
        now += step
        newest = max(now, newest)
        found = windows.reserve([charge(amount, most)], now)
        if isinstance(found, Reservation):
            kept.append((newest, amount))
            if then == "give back":
                windows.give_back(found)
                kept.pop()
        else:
            recent = [one for at, one in kept if newest - LENGTH - 2 * PART < at <= newest]
            assert sum(recent) + amount > most
        if then == "restart":
            fresh = Windows()
            fresh.restore(reversed(list(windows.taken(newest))), newest)
            fresh.reserve([], newest)
            windows = fresh
        for end, _ in kept:
            assert sum(amount for at, amount in kept if end - LENGTH <= at <= end) <= most


@pytest.mark.parametrize("per", Per)
def test_a_window_lets_in_again_what_left_it(per: Per) -> None:
    windows, length = Windows(), LENGTHS[per]
    for _ in range(3):
        taken(windows, 0, charge(per=per))
    found = refused(windows, length, charge(per=per))
    assert found.wait == -(-61 * length // 60) - length
    refused(windows, length + found.wait - 1, charge(per=per))
    taken(windows, length + found.wait, charge(per=per))


def test_the_edge_of_a_window_is_no_place_to_double_the_limit() -> None:
    windows = Windows()
    for _ in range(3):
        taken(windows, LENGTH - 1)
    refused(windows, LENGTH)
    refused(windows, LENGTH + 1)
    refused(windows, 2 * LENGTH - 2)


def test_charges_are_taken_all_or_none() -> None:
    windows = Windows()
    taken(windows, 0, charge(3, key="full"))
    assert refused(windows, 0, charge(key="free"), charge(key="full")).charge.key == ("full",)
    for _ in range(3):
        taken(windows, 0, charge(key="free"))
    refused(windows, 0, charge(key="free"))


def test_a_key_that_is_there_twice_is_charged_once() -> None:
    windows = Windows()
    for _ in range(3):
        taken(windows, 0, charge(), charge())
    refused(windows, 0)


def test_what_is_given_back_is_given_back_once() -> None:
    windows = Windows()
    first = taken(windows, 0)
    taken(windows, 0)
    taken(windows, 0)
    refused(windows, 0)
    windows.give_back(first)
    windows.give_back(first)
    windows.end(first)
    taken(windows, 0)
    refused(windows, 0)


def test_what_ended_is_not_given_back() -> None:
    windows = Windows()
    first = taken(windows, 0, charge(most=1))
    windows.end(first)
    windows.give_back(first)
    refused(windows, 0, charge(most=1))


def test_what_is_given_back_late_is_not_taken_off_what_came_after() -> None:
    windows = Windows()
    first = taken(windows, 0)
    for _ in range(3):
        taken(windows, 3 * LENGTH)
    windows.give_back(first)
    refused(windows, 3 * LENGTH)


def test_calls_at_one_time() -> None:
    windows = Windows()
    one = charge(most=2, per=None)
    first, second = taken(windows, 0, one), taken(windows, 0, one)
    assert refused(windows, 10 * LENGTH, one).wait is None
    windows.end(first)
    third = taken(windows, 0, one)
    refused(windows, 0, one)
    windows.give_back(second)
    windows.end(third)
    assert len(windows) == 0
    taken(windows, 0, one)


def test_a_refused_call_is_not_under_way() -> None:
    windows = Windows()
    taken(windows, 0, charge(3))
    refused(windows, 0, charge(per=None, key="once"), charge())
    assert len(windows) == 1


@pytest.mark.parametrize("amount", [4, -1, 10**39, Decimal("3.0000000000000000000000000000000000001")])
def test_an_amount_that_never_fits_is_refused(amount: Number) -> None:
    windows = Windows()
    assert refused(windows, 0, charge(amount)).wait is None
    taken(windows, 0, charge(3))


def test_sums_are_exact() -> None:
    windows = Windows()
    for _ in range(10):
        taken(windows, 0, charge(Decimal("0.1"), 1))
    refused(windows, 0, charge(Decimal("1e-300"), 1))
    taken(windows, 0, charge(0, 1))


def test_a_clock_that_is_set_back_frees_nothing() -> None:
    windows = Windows()
    for _ in range(3):
        taken(windows, 10 * LENGTH)
    refused(windows, 5 * LENGTH)
    refused(windows, 11 * LENGTH)
    taken(windows, 12 * LENGTH)


def test_a_clock_that_is_set_back_for_a_while_frees_nothing_either() -> None:
    windows = Windows()
    taken(windows, 12 * LENGTH, charge(key="another"))
    for _ in range(3):
        taken(windows, 10 * LENGTH)
    refused(windows, 12 * LENGTH)
    taken(windows, 14 * LENGTH)


def test_counts_are_bounded_and_forgotten() -> None:
    windows = Windows(max_counts=10)
    for number in range(10):
        taken(windows, 0, charge(key=str(number)))
    assert "too many" in refused(windows, 0, charge(key="another")).because
    taken(windows, 0, charge(key="3"))
    taken(windows, 2 * LENGTH, charge(key="another"))
    assert len(windows) == 1


def test_of_the_counts_each_caller_has_a_share() -> None:
    windows = Windows(max_counts=20)
    for number in range(2):
        assert isinstance(windows.reserve([charge(key=f"a{number}")], 0, "alice"), Reservation)
    for _ in range(2):
        found = windows.reserve([charge(key="a2")], 0, "alice")
        assert isinstance(found, Refused)
        assert found.because == "there are too many counts of one caller at one time"
    assert windows.would_refuse([charge(key="a2")], 0, "alice") == found
    assert isinstance(windows.reserve([charge(key="a1")], 0, "alice"), Reservation)
    kept = windows.reserve([charge(key="b")], 0, "bob")
    assert isinstance(kept, Reservation)
    fresh = Windows(max_counts=20)
    fresh.restore(windows.taken(0), 0)
    assert isinstance(fresh.reserve([charge(key="a2")], 0, "alice"), Refused)
    windows.give_back(kept)
    assert isinstance(windows.reserve([charge(key="a2")], 2 * LENGTH, "alice"), Reservation)
    assert windows._begun == {"alice": 1}, "what left its window makes room"


def test_while_there_is_no_room_not_every_call_looks_through_all_counts() -> None:
    windows = Windows(max_counts=3)
    for number in range(3):
        taken(windows, 0, charge(key=str(number), per=Per.SECOND))
    refused(windows, 0, charge(key="another"))
    refused(windows, 9 * LENGTHS[Per.SECOND], charge(key="another"))
    taken(windows, 10 * LENGTHS[Per.SECOND], charge(key="another"))


def test_what_never_reached_a_server_leaves_no_count_behind() -> None:
    """Callers write names: calls of names that there are not must not use up the room for counts."""
    windows = Windows(max_counts=2)
    for number in range(5):
        windows.give_back(taken(windows, 0, charge(key=f"nothing-{number}")))
    assert len(windows) == 0
    kept = taken(windows, 0, charge(key="a"))
    windows.give_back(taken(windows, 0, charge(key="a")))
    assert len(windows) == 1
    taken(windows, 0, charge(key="b"))
    refused(windows, 0, charge(key="c"))
    windows.end(kept)


def test_what_would_be_refused_can_be_asked_and_takes_nothing() -> None:
    windows = Windows()
    calls, once = charge(most=2), charge(key="once", per=None, most=1)
    for number in range(2):
        for _ in range(3):
            assert windows.would_refuse((calls, once), 0) is None
            assert (windows.used(calls, 0), windows.used(once, 0)) == (number, 0)
        held = taken(windows, 0, calls, once)
        assert windows.used(once, 0) == 1
        assert windows.would_refuse((once,), 0) == windows.reserve((once,), 0)
        windows.end(held)
    assert windows.would_refuse((calls, once), 0) == windows.reserve((calls, once), 0)
    later = LENGTH + 2 * PART
    assert (windows.used(calls, later), windows.would_refuse((calls,), later)) == (0, None)


def test_what_was_taken_before_a_restart_may_come_in_pages_newest_first() -> None:
    windows, start = Windows(), 10 * LENGTH
    for later in (50, 10, 30, 10):
        windows.restore([Taken(("k",), Per.MINUTE, start + later * PART, 1)], start + 50 * PART)
    assert windows.used(charge(), start + 50 * PART) == 4
    assert windows.used(charge(), start + 72 * PART) == 2, "each leaves when it would have"
    assert windows.used(charge(), start + 92 * PART) == 1


def test_what_left_its_window_before_a_restart_is_not_kept() -> None:
    windows, now = Windows(), 1_000 * LENGTH
    windows.restore([Taken((str(at),), Per.MINUTE, at * LENGTH, 1) for at in range(1_000)], now)
    assert len(windows) == 1, "the part that the window touches still counts"


def test_what_a_clock_that_was_ahead_wrote_counts_as_taken_now() -> None:
    windows, now = Windows(), 10 * LENGTH
    windows.restore([Taken(("k",), Per.MINUTE, now + 500 * LENGTH, 3)], now)
    refused(windows, now)
    taken(windows, now + LENGTH + 2 * PART)


def test_limits_that_share_a_count_are_held_to_the_tightest() -> None:
    windows = Windows()
    both = charge(most=3), charge(most=1), charge(most=5)
    taken(windows, 0, *both)
    assert refused(windows, 0, *both).charge.most == 1
    assert windows.used(charge(), 0) == 1
