"""The brake on guessing: twenty a minute from one place, and nobody else is slowed."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.identity.throttle import MAX_ADDRESSES, PER_MINUTE, Throttle
from doubles.clock import HandClock


def spent(throttle: Throttle, address: str, times: int) -> int:
    return sum(throttle.spend(address) for _ in range(times))


def test_so_many_at_once_and_then_one_for_every_part_of_a_minute() -> None:
    clock = HandClock()
    throttle = Throttle(clock)
    assert spent(throttle, "192.0.2.1", 100) == PER_MINUTE
    clock.advance(2.9)
    assert not throttle.spend("192.0.2.1")
    clock.advance(0.2)
    assert throttle.spend("192.0.2.1")
    assert not throttle.spend("192.0.2.1")
    clock.advance(3_600)
    assert spent(throttle, "192.0.2.1", 100) == PER_MINUTE


def test_one_address_does_not_slow_another() -> None:
    throttle = Throttle(HandClock())
    assert spent(throttle, "192.0.2.1", 100) == PER_MINUTE
    for other in ("192.0.2.2", "2001:db8::1", "::ffff:192.0.2.1", "unix", ""):
        assert spent(throttle, other, 100) == PER_MINUTE


@pytest.mark.parametrize(
    ("address", "same", "other"),
    [
        ("2001:db8:1:2::1", "2001:db8:1:2:ffff::9", "2001:db8:1:3::1"),
        ("::1", "::2", "0:0:0:1::1"),
        ("::ffff:192.0.2.1", "::ffff:c000:201", "::ffff:192.0.2.2"),
        ("fe80::1%eth0", "fe80::2%eth0", "fe80:0:0:1::1"),
    ],
)
def test_a_network_of_ipv6_is_one_place(address: str, same: str, other: str) -> None:
    throttle = Throttle(HandClock())
    assert spent(throttle, address, PER_MINUTE) == PER_MINUTE
    assert not throttle.spend(same)
    assert throttle.spend(other)


def test_what_is_remembered_is_bounded_and_the_busiest_stays() -> None:
    throttle = Throttle(HandClock(), per_minute=2)
    for number in range(3 * MAX_ADDRESSES):
        throttle.spend(f"10.{number >> 16}.{number >> 8 & 255}.{number & 255}")
        if number % 1_000 == 0:
            throttle.spend("192.0.2.1")
    assert not throttle.spend("192.0.2.1")
    assert len(throttle._buckets) == MAX_ADDRESSES


@settings(max_examples=200, deadline=None)
@given(st.lists(st.floats(0, 100), max_size=60), st.integers(1, 30))
def test_no_pace_gets_more_than_the_rate_and_one_bucket(pauses: list[float], rate: int) -> None:
    clock = HandClock()
    throttle = Throttle(clock, per_minute=rate)
    allowed = 0
    for pause in pauses:
        clock.advance(pause)
        allowed += throttle.spend("192.0.2.1")
    assert allowed <= rate + sum(pauses) * rate / 60 + 1e-6
    if pauses and min(pauses) >= 60 / rate * 1.001:
        assert allowed == len(pauses)
