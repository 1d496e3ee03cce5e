"""Which forms were sent: known for a while, per session and path, of so many and no more."""

from __future__ import annotations

from coatcheck.console.web.once import KEPT_FOR, MOST, Once
from doubles.clock import HandClock


def test_the_second_of_the_same_is_known_and_nothing_else() -> None:
    once = Once(HandClock().now)
    assert once.take("s", "/a", "k")
    assert not once.take("s", "/a", "k")
    assert [once.take("t", "/a", "k"), once.take("s", "/b", "k"), once.take("s", "/a", "l")] == [True] * 3
    once.forget("s", "/a", "k")
    assert once.take("s", "/a", "k")
    assert [once.take("s", "/a", "") for _ in range(2)] == [True, True]


def test_it_is_forgotten_in_time() -> None:
    clock = HandClock()
    once = Once(clock.now)
    assert once.take("s", "/a", "k")
    clock.advance(KEPT_FOR.total_seconds() - 1)
    assert not once.take("s", "/a", "k")
    clock.advance(1)
    assert once.take("s", "/a", "k")


def test_of_many_the_oldest_are_forgotten() -> None:
    once = Once(HandClock().now)
    for number in range(MOST + 1):
        assert once.take("s", "/a", str(number))
    assert not once.take("s", "/a", str(MOST))
    assert once.take("s", "/a", "0")
