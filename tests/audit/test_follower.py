"""Following: in order, at least once, from the cursor; failing and hung sinks fall behind and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import pytest

from coatcheck.audit.follower import BATCH, Follower
from coatcheck.audit.following import Following
from coatcheck.errors import Missing
from coatcheck.model.sink import Format, SinkKind, SinkRules, StreamOptions
from doubles.clock import HandClock
from doubles.copies import MemoryCopies, MemorySink, a_change_copy, a_copy

PATIENCE = 20.0
RULES = SinkRules("siem", SinkKind.STDOUT, StreamOptions(format=Format.JSON))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not condition():
            await asyncio.sleep(0.005)


def rules(name: str, *, from_start: bool = False) -> SinkRules:
    return SinkRules(name, SinkKind.STDOUT, StreamOptions(), from_start)


class House:
    """Sinks by name over one ledger in memory; opened anew as a restart does."""

    def __init__(self, *entries: int) -> None:
        self.copies = MemoryCopies([a_copy(seq) for seq in entries])
        self.clock = HandClock()
        self.sinks: dict[str, MemorySink] = {}

    def following(self) -> Following:
        return Following(self.copies, self.copies, self._make, self.clock, look_seconds=0.005)

    def _make(self, wanted: SinkRules) -> MemorySink:
        return self.sinks.setdefault(wanted.name, MemorySink())


async def test_records_and_changes_come_in_order_in_bounded_batches() -> None:
    house = House()
    house.copies.entries = [a_change_copy(n) if n % 7 == 0 else a_copy(n) for n in range(1, 1_000)]
    following = house.following()
    await following.open([rules("siem", from_start=True)])
    await until(lambda: len(house.sinks["siem"].got) == 999)
    await following.close()
    assert house.sinks["siem"].places == list(range(1, 1_000))
    assert house.copies.largest_page == BATCH
    assert house.copies.cursors == {"siem": 999}
    assert house.sinks["siem"].closed


async def test_a_new_sink_begins_now_and_a_known_one_where_it_was() -> None:
    house = House(1, 2, 3)
    house.copies.cursors = {"old": 1, "gone": 2}
    following = house.following()
    await following.open([rules("old"), rules("new")])
    assert house.copies.cursors == {"old": 1, "new": 3}
    house.copies.entries.append(a_copy(4))
    await until(lambda: house.sinks["new"].places == [4] and house.sinks["old"].places == [2, 3, 4])
    await following.close()
    house.copies.entries.append(a_copy(9))
    following = house.following()
    await following.open([rules("old"), rules("new")])
    await until(lambda: len(house.sinks["new"].got) == 2 and len(house.sinks["old"].got) == 4)
    await following.close()
    assert house.sinks["new"].places == [4, 9]
    assert house.sinks["old"].places == [2, 3, 4, 9]


async def test_a_crash_before_the_cursor_was_kept_repeats_and_loses_nothing() -> None:
    house = House(1, 2, 3)
    house.copies.cursors = {"siem": 0}
    following = Following(house.copies, house.copies, house._make, house.clock, look_seconds=3600.0)
    await following.open([rules("siem")])
    await until(lambda: house.sinks["siem"].places == [1, 2, 3])
    assert house.copies.cursors == {"siem": 0}  # and here the process dies
    house.copies.entries.append(a_copy(4))
    again = house.following()
    await again.open([rules("siem")])
    await until(lambda: 4 in house.sinks["siem"].places)
    await again.close()
    assert house.sinks["siem"].places == [1, 2, 3, 1, 2, 3, 4]
    await following.close()


async def test_a_hung_sink_falls_behind_and_the_others_do_not() -> None:
    house = House()
    house.sinks["hung"] = MemorySink()
    house.sinks["hung"].open.clear()
    following = house.following()
    await following.open([rules("hung"), rules("well")])
    house.copies.entries += [a_copy(seq) for seq in range(1, 501)]
    await until(lambda: len(house.sinks["well"].got) == 500 and following.statuses()[0].lag == 500)
    house.clock.advance(10.0)
    hung, well = following.statuses()
    assert (hung.error, hung.cursor, hung.last) == ("the receiver does not take what is sent", 0, 500)
    assert hung.since is not None
    assert (well.error, well.lag, well.delivered, well.since) == ("", 0, 500, None)
    assert house.copies.largest_page == BATCH
    house.sinks["hung"].open.set()
    await until(lambda: len(house.sinks["hung"].got) == 500)
    await until(lambda: following.statuses()[0].lag == 0)
    await following.close()
    assert house.sinks["hung"].places == list(range(1, 501))


async def test_a_failing_sink_tries_again_and_says_why() -> None:
    copies, sink = MemoryCopies([a_copy(1), a_copy(2)]), MemorySink(fails=3)
    follower = Follower(RULES, sink, copies, 0, HandClock(), pauses=(0.001, 0.002))
    follower.heard(2)
    running = asyncio.create_task(follower.run())
    await until(lambda: bool(follower.status().error) or follower.is_level)
    await until(lambda: follower.is_level)
    status = follower.status()
    assert (status.error, status.failures, status.delivered, status.cursor) == ("", 3, 2, 2)
    assert sink.places == [1, 2]
    copies.failing = True
    follower.heard(3)
    await until(lambda: bool(follower.status().error))
    assert "cannot be copied" in follower.status().error
    copies.failing = False
    copies.entries.append(a_copy(3))
    await until(lambda: follower.is_level)
    follower.finish()
    await asyncio.wait_for(running, PATIENCE)
    assert sink.places == [1, 2, 3]


async def test_closing_waits_a_moment_for_what_is_left_and_not_for_a_hung_sink() -> None:
    house = House()
    house.sinks["hung"] = MemorySink()
    house.sinks["hung"].open.clear()
    following = Following(house.copies, house.copies, house._make, house.clock, look_seconds=3600.0)
    await following.open([rules("hung"), rules("well")])
    house.copies.entries += [a_copy(1), a_copy(2)]
    await following.close(0.1)
    assert house.sinks["well"].places == [1, 2]
    assert house.copies.cursors == {"hung": 0, "well": 2}


async def test_one_sink_takes_the_place_of_another_while_running() -> None:
    house = House(1)
    following = house.following()
    await following.open([rules("audit.output")])
    house.copies.entries.append(a_copy(2))
    await until(lambda: house.sinks["audit.output"].places == [2])
    await following.change("audit.output", None, 2)
    assert (following.statuses(), house.copies.cursors) == ([], {})
    house.copies.entries.append(a_copy(3))
    await following.change("audit.output", rules("audit.output"), 3)
    house.copies.entries.append(a_copy(4))
    await until(lambda: house.sinks["audit.output"].places == [2, 4])
    await following.close()


async def test_a_test_entry_goes_through_and_counts_for_nothing() -> None:
    house = House(1)
    house.sinks["siem"] = MemorySink()
    following = house.following()
    await following.open([rules("siem")])
    assert await following.test("siem") == ""
    assert house.sinks["siem"].places == [0]
    house.sinks["siem"].fails = 1
    assert await following.test("siem") == "a test says so"
    assert following.statuses()[0].delivered == 0
    with pytest.raises(Missing, match="no sink other"):
        await following.test("other")
    await following.close()
    assert house.copies.cursors == {"siem": 1}


async def test_a_test_entry_does_not_wait_for_ever() -> None:
    sink = MemorySink()
    sink.open.clear()
    follower = Follower(RULES, sink, MemoryCopies(), 0, HandClock())
    assert await follower.test(0.05) == "it was not taken within 0.05 seconds"


class OddSink(MemorySink):
    async def deliver(self, copies: object) -> None:
        raise ValueError("cckg_secret")


async def test_what_nobody_foresaw_is_told_without_its_text() -> None:
    follower = Follower(RULES, OddSink(), MemoryCopies([a_copy(1)]), 0, HandClock())
    assert await follower.test(1.0) == "unforeseen ValueError"
