"""The brake on guessing: who guesses waits longer and longer, and the owner of the name as little as can be."""

from __future__ import annotations

import pytest

from coatcheck.errors import SlowDown
from coatcheck.operations.signing_in import brake as module
from coatcheck.operations.signing_in.brake import Brake, network_of
from doubles.clock import HandClock

HOME, AWAY = "192.0.2.1", "198.51.100.1"


def waits(brake: Brake, address: str, name: str | None = "ann") -> int:
    """Try, wrongly; return how long that has to wait, 0 if it was looked at."""
    try:
        brake.spend(address, name)
    except SlowDown as slow:
        return slow.seconds if f"wait {slow.seconds} seconds" in slow.fix else -1
    return 0


def test_five_wrong_in_a_row_then_half_a_minute_doubling_to_a_quarter_of_an_hour() -> None:
    clock = HandClock()
    brake, told = Brake(clock), []
    assert [waits(brake, HOME) for _ in range(5)] == [0] * 5
    for _ in range(7):
        told.append(waits(brake, HOME))
        clock.advance(told[-1] - 1)
        assert waits(brake, HOME) == 1
        clock.advance(1)
        assert waits(brake, HOME) == 0
    assert told == [30, 60, 120, 240, 480, 900, 900]


def test_what_is_right_begins_the_row_anew() -> None:
    brake = Brake(HandClock())
    for _ in range(10):
        assert [waits(brake, HOME) for _ in range(4)] == [0] * 4
        brake.spend(HOME, "ann")
        brake.right(HOME, "ann")
        for _ in range(4):
            brake._networks.unspend(network_of(HOME))


def test_who_guesses_beside_somebody_keeps_them_out_no_more_than_from_elsewhere() -> None:
    """A whole office often has one address: there one who knows no password must not stop all who do."""
    brake = Brake(HandClock())
    brake.spend(HOME, "ann")
    brake.right(HOME, "ann")
    guesses = [waits(brake, HOME, f"n{number}") for number in range(21)]
    assert (guesses[:20], guesses[20]) == ([0] * 20, 30)
    assert (waits(brake, HOME, "ben"), waits(brake, HOME, None)) == (30, 30)
    brake.spend(HOME, "ann")
    brake.right(HOME, "ann")
    assert waits(brake, HOME, "ben") == 30, "who is right takes back nothing that others did"
    assert [waits(brake, HOME) for _ in range(6)] == [0, 0, 0, 0, 0, 30]


def test_others_and_elsewhere_are_not_braked() -> None:
    brake = Brake(HandClock())
    assert [waits(brake, HOME) for _ in range(6)][-1] == 30
    assert (waits(brake, HOME, "ben"), waits(brake, AWAY)) == (0, 0)


def test_one_network_that_tries_many_names_is_braked() -> None:
    brake = Brake(HandClock())
    assert [waits(brake, HOME, f"n{number}") for number in range(module.OF_NETWORK)] == [
        0
    ] * module.OF_NETWORK
    assert waits(brake, HOME, "other") == 30
    assert waits(brake, HOME, None) == 30
    assert waits(brake, AWAY, "other") == 0


def test_many_networks_on_one_name_are_braked_but_for_where_it_got_in() -> None:
    clock = HandClock()
    brake = Brake(clock)
    brake.spend(HOME, "ann")
    brake.right(HOME, "ann")
    tries = [waits(brake, f"203.0.113.{number}") for number in range(module.OF_NAME)]
    assert tries == [0] * module.OF_NAME
    assert waits(brake, AWAY) == 30
    assert waits(brake, HOME) == 0
    clock.advance(module.FORGET_SECONDS)
    assert waits(brake, AWAY) == 0


def test_many_at_once_gain_nothing() -> None:
    brake = Brake(HandClock())
    looked_at = sum(waits(brake, HOME) == 0 for _ in range(100))
    assert looked_at == module.OF_PLACE


def test_it_remembers_a_bounded_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEYS", 10)
    brake = Brake(HandClock())
    for number in range(100):
        name, address = f"n{number}", f"192.0.2.{number}"
        brake.spend(address, name)
        brake.spend(f"198.51.100.{number}", name)
        brake.right(address, name)
    kept = (brake._places._counts, brake._networks._counts, brake._names._counts, brake._familiar)
    assert max(len(one) for one in kept) == 10


@pytest.mark.parametrize(
    ("address", "network"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("::ffff:192.0.2.1", "192.0.2.1"),
        ("socket", "socket"),
    ],
)
def test_what_one_client_has_at_its_disposal(address: str, network: str) -> None:
    assert network_of(address) == network
