"""What was touched is counted once for all who ask, beside their pages, and no longer than somebody asks."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

import pytest

from coatcheck.errors import LedgerUnavailable, Unavailable
from coatcheck.model.reading import Radius, RadiusFilter
from coatcheck.operations import radii
from coatcheck.operations.radii import Radii
from doubles.clock import START, HandClock

NOTHING = Radius(None, (), (), (), (), (), (), (), 0)
ALPHA = RadiusFilter(credential="alpha")


@dataclass
class Gated:
    """Reads nothing, and no faster than it is let; `most` counts readings at once."""

    gate: asyncio.Event = field(default_factory=asyncio.Event)
    asked: list[RadiusFilter] = field(default_factory=list)
    under_way: int = 0
    most: int = 0
    given_up: int = 0
    fails: bool = False

    async def radius(self, of: RadiusFilter) -> Radius:
        self.asked.append(of)
        self.under_way += 1
        self.most = max(self.most, self.under_way)
        try:
            await self.gate.wait()
        except asyncio.CancelledError:
            self.given_up += 1
            raise
        finally:
            self.under_way -= 1
        if self.fails:
            raise LedgerUnavailable("a test says so")
        return NOTHING


def made(reading: Gated, clock: HandClock | None = None, patience: float = 0.01) -> Radii:
    return Radii(reading, clock or HandClock(), patience=patience)  # type: ignore[arg-type]


async def test_nobody_waits_for_a_long_count_and_the_next_look_has_it() -> None:
    reading = Gated()
    counting = made(reading)
    assert await counting.find(ALPHA) is None
    assert reading.under_way == 1
    reading.gate.set()
    await asyncio.sleep(0)
    found = await counting.find(ALPHA)
    assert found is not None
    assert (found.radius, found.at) == (NOTHING, START)
    assert len(reading.asked) == 1


@pytest.mark.parametrize(("took", "told"), [(0.1, 2.0), (1.0, 20.0), (60.0, radii.FRESH)])
async def test_a_count_is_told_again_for_as_long_as_it_was_worth(took: float, told: float) -> None:
    reading, clock = Gated(), HandClock()
    counting = made(reading, clock)
    assert await counting.find(ALPHA) is None
    clock.advance(took)
    reading.gate.set()
    assert await counting.find(ALPHA) is not None
    clock.advance(told - 0.01)
    assert await counting.find(ALPHA) is not None
    assert len(reading.asked) == 1
    clock.advance(0.02)
    await counting.find(ALPHA)
    assert len(reading.asked) == 2


async def test_all_who_ask_share_one_count_and_different_ones_wait_for_each_other() -> None:
    reading = Gated()
    counting = made(reading, patience=30.0)
    looks = [asyncio.create_task(counting.find(ALPHA)) for _ in range(3)]
    others = [asyncio.create_task(counting.find(RadiusFilter(grant=f"g{number}"))) for number in range(3)]
    await asyncio.sleep(0.01)
    reading.gate.set()
    found = await asyncio.gather(*looks, *others)
    assert None not in found
    assert len(reading.asked) == 4
    assert reading.most == 1


async def test_what_nobody_asks_for_any_more_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radii, "_LOOK", 0.005)
    reading, clock = Gated(), HandClock()
    counting = made(reading, clock)
    for _ in range(3):  # as long as somebody asks, it goes on
        assert await counting.find(ALPHA) is None
        clock.advance(radii.UNASKED - 1)
        await asyncio.sleep(0.02)
    assert (reading.given_up, len(reading.asked)) == (0, 1)
    clock.advance(2)
    async with asyncio.timeout(30):
        while not reading.given_up:
            await asyncio.sleep(0.005)
    assert await counting.find(ALPHA) is None
    assert (reading.under_way, len(reading.asked)) == (1, 2)  # whoever looks again begins another


async def test_no_more_than_so_many_wait(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(radii, "MOST_WAITING", 2)
    counting = made(Gated())
    for number in range(2):
        assert await counting.find(RadiusFilter(grant=f"g{number}")) is None
    assert await counting.find(RadiusFilter(grant="g0")) is None
    with pytest.raises(Unavailable):
        await counting.find(ALPHA)
    await counting.close()


async def test_a_count_that_fails_is_told_and_tried_again() -> None:
    reading = Gated(fails=True)
    reading.gate.set()
    counting = made(reading, patience=30.0)
    with pytest.raises(LedgerUnavailable):
        await counting.find(ALPHA)
    reading.fails = False
    assert await counting.find(ALPHA) is not None


async def test_the_end_of_the_gateway_ends_what_is_counted() -> None:
    reading = Gated()
    counting = made(reading)
    assert await counting.find(ALPHA) is None
    await counting.close()
    assert (reading.given_up, reading.under_way) == (1, 0)
