"""What went on is counted once and told as far as it is known: never as zero what was not counted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bands import band_of
from coatcheck.core.activity import BOUNDS, By, Counted, Counts, Focus, Knocks, Step, Through
from coatcheck.errors import LedgerUnavailable, Unfit
from coatcheck.operations import hours
from coatcheck.operations.activity import Activity

NOW = datetime(2026, 11, 22, 10, 32, 20, tzinfo=UTC)
HOUR = timedelta(hours=1)
LONGEST = 1_800.0


@dataclass
class Handset:
    """A clock that is set by hand."""

    at: datetime = NOW
    seconds: float = 1_000.0

    def now(self) -> datetime:
        return self.at

    def monotonic(self) -> float:
        return self.seconds

    def pass_by(self, time: timedelta) -> None:
        self.at += time
        self.seconds += time.total_seconds()


@dataclass
class Call:
    at: datetime
    server: str = "github"
    tool: str = "search"
    subject: str = "alice"
    grant: str = "g1"
    ended: bool = True
    refused: bool = False


@dataclass
class ListCounting:
    """Counts a list. `reads` are the times it was asked for; `gate` holds readings up; `fails` says why."""

    calls: list[Call] = field(default_factory=list)
    sealed: datetime | None = None
    reads: list[tuple[int, int, int]] = field(default_factory=list)
    gate: asyncio.Semaphore | None = None
    fails: bool = False
    asked_knocks: int = 0

    async def count(self, focus: Focus, since: int, until: int, grain: int) -> Counted:
        assert since % grain == until % grain == 0
        assert since < until
        self.reads.append((since, until, grain))
        if self.gate is not None:
            await self.gate.acquire()
        if self.fails:
            raise LedgerUnavailable("a test says so")
        units: dict[int, dict[str, Counts]] = {}
        left = [one for one in self.calls if self.sealed is None or one.at >= self.sealed]
        for one in left:
            second = int(one.at.timestamp())
            if since <= second < until and meant(focus, one):
                by = By.SERVER if focus.by is By.REACHED else focus.by
                name = {By.SERVER: one.server, By.TOOL: one.tool, By.SUBJECT: one.subject}[by]
                found = units.setdefault(second // grain * grain, {}).setdefault(name, Counts())
                found.add(
                    Counts(1, int(one.refused), under_way=not one.ended, timed=int(one.ended), last=one.at)
                )
        begins = self.sealed or min((one.at for one in left), default=None)
        return Counted(units, begins, self.sealed is not None)

    async def knocks(self, since: datetime) -> Knocks:
        self.asked_knocks += 1
        if self.fails:
            raise LedgerUnavailable("a test says so")
        return Knocks((), 0, None)


def meant(focus: Focus, one: Call) -> bool:
    pairs = ((focus.server, one.server), (focus.grant, one.grant), (focus.subject, one.subject))
    return all(wanted in {None, found} for wanted, found in pairs)


def activity(counting: ListCounting, clock: Handset | None = None, patience: float = 30.0) -> Activity:
    return Activity(counting, clock or Handset(), LONGEST, patience=patience)


def old(*ago: timedelta, **more: Any) -> list[Call]:
    """Return calls of so long ago, and one of long before, so that the record begins there."""
    return [Call(NOW - timedelta(days=60)), *(Call(NOW - one, **more) for one in ago)]


# --- what was used ---


async def test_what_got_through_is_told_by_name_and_as_soon_as_may_be() -> None:
    counting, clock = ListCounting(old(HOUR * 50, HOUR * 3, grant="g2")), Handset()
    counting.calls += [Call(NOW - HOUR, "time"), Call(NOW - HOUR, "shut", refused=True)]
    looking, since = activity(counting, clock), NOW - timedelta(days=30)
    found = await looking.used(since, subject="alice", patience=30.0)
    assert found.names == {"github": Through(2, NOW - HOUR * 3), "time": Through(1, NOW - HOUR)}
    assert (found.complete, found.whole, found.sealed) == (True, True, False)
    assert 86_400 in {grain for _, _, grain in counting.reads}
    assert len(counting.reads) < 15  # days are counted as days: very many are looked at together
    tools = await looking.used(since, server="github", grant="g2", patience=30.0)
    assert tools.names == {"search": Through(2, NOW - HOUR * 3)}

    clock.pass_by(timedelta(seconds=5))
    counting.calls.append(Call(clock.at, "new"))
    counting.reads.clear()
    assert "new" not in (await looking.used(since, subject="alice", patience=30.0, soon=True)).names
    assert counting.reads == []
    assert "new" in (await looking.used(since, subject="alice", patience=30.0)).names
    counting.calls.append(Call(clock.at, "newer"))
    clock.pass_by(timedelta(seconds=60))
    assert "newer" in (await looking.used(since, subject="alice", patience=30.0, soon=True)).names


async def test_what_is_in_files_or_is_not_counted_in_time_is_not_told_as_unused() -> None:
    counting = ListCounting(old(HOUR * 50, HOUR * 3), sealed=NOW - HOUR * 5)
    found = await activity(counting).used(NOW - timedelta(days=30), subject="alice", patience=30.0)
    assert (found.complete, found.sealed, found.names) == (
        False,
        True,
        {"github": Through(1, NOW - HOUR * 3)},
    )
    assert found.back_to >= NOW - HOUR * 6
    held = ListCounting(old(HOUR * 3), gate=asyncio.Semaphore(0))
    looking = activity(held)
    late = await looking.used(NOW - timedelta(days=30), subject="alice", patience=0.01)
    assert (late.complete, late.sealed, late.names) == (False, False, {})
    await looking.close()


# --- counted once ------------------------------------------------------------------------------------------


async def test_hours_that_are_over_are_counted_once() -> None:
    counting, clock = ListCounting(old(HOUR * 5, HOUR * 5, HOUR * 2, timedelta(minutes=1))), Handset()
    looking = activity(counting, clock)
    series = await looking.over(NOW - HOUR * 24)
    assert series.complete
    assert series.back_to == series.buckets[0].at == datetime(2026, 11, 21, 10, tzinfo=UTC)
    assert series.buckets[-1].at == datetime(2026, 11, 22, 10, tzinfo=UTC)
    assert [one.counts.calls for one in series.buckets if one.counts and one.counts.calls] == [2, 1, 1]
    assert series.whole.calls == 4
    counting.reads.clear()
    await looking.over(NOW - HOUR * 24)
    await looking.servers(NOW - HOUR * 24)
    assert counting.reads == []
    clock.pass_by(timedelta(seconds=10))
    counting.calls.append(Call(clock.at))
    assert (await looking.over(NOW - HOUR * 24)).whole.calls == 5
    (again,) = counting.reads
    assert again == (1_795_343_400, 1_795_343_700, 300)  # the five minutes that go on
    clock.pass_by(HOUR * 2)
    counting.reads.clear()
    assert (await looking.over(NOW - HOUR * 22)).whole.calls == 5
    assert min(since for since, _, _ in counting.reads) >= NOW.timestamp() // 3_600 * 3_600


async def test_an_hour_with_calls_under_way_is_counted_again_until_they_have_ended() -> None:
    counting, clock = ListCounting(old(HOUR * 2, ended=False)), Handset()
    looking = activity(counting, clock)
    assert (await looking.over(NOW - HOUR * 5)).whole.under_way == 1
    counting.calls[-1].ended = True
    assert (await looking.over(NOW - HOUR * 5)).whole.under_way == 1  # it was looked at just now
    clock.pass_by(timedelta(seconds=hours.SELDOM + 1))
    assert (await looking.over(NOW - HOUR * 5)).whole.under_way == 0
    counting.reads.clear()
    clock.pass_by(timedelta(seconds=hours.SELDOM + 1))
    await looking.over(NOW - HOUR * 5)
    assert all(since > (NOW - HOUR).timestamp() for since, _, _ in counting.reads)


async def test_what_a_clock_set_back_makes_present_is_counted_anew() -> None:
    counting, clock = ListCounting(old(HOUR * 3)), Handset()
    looking = activity(counting, clock)
    assert (await looking.over(NOW - HOUR * 4)).whole.calls == 1
    clock.at -= HOUR * 3
    clock.seconds += 60
    counting.calls.append(Call(clock.at))
    assert (await looking.over(NOW - HOUR * 4)).whole.calls == 2


async def test_days_are_made_of_hours_and_told_by_name() -> None:
    calls = [
        *old(HOUR * 30, HOUR * 50),
        Call(NOW - HOUR * 49, "jira"),
        Call(NOW - HOUR, "jira", "close", "bob"),
    ]
    looking = activity(ListCounting(calls))
    days = await looking.over(NOW - HOUR * 60, step=Step.DAY)
    assert [one.counts and one.counts.calls for one in days.buckets] == [0, 2, 1, 1]
    assert (await looking.over(NOW - HOUR * 60, server="jira")).whole.calls == 2
    found = await looking.servers(NOW - HOUR * 60)
    assert {one.name: (one.counts.calls, one.counts.last) for one in found.items} == {
        "github": (2, NOW - HOUR * 30),
        "jira": (2, NOW - HOUR),
    }
    assert [one.name for one in (await looking.tools("jira", NOW - HOUR * 60)).items] == ["close", "search"]
    assert [one.name for one in (await looking.callers(NOW - HOUR * 60)).items] == ["alice", "bob"]
    assert (await looking.over(NOW - HOUR * 60, subject="bob")).whole.calls == 1
    assert (await looking.over(NOW - HOUR * 60, grant="g2")).whole.calls == 0


# --- what is not known -------------------------------------------------------------------------------------


async def test_what_is_not_counted_yet_is_told_as_such_and_counted_meanwhile() -> None:
    counting, gate = ListCounting(old(*(HOUR * ago for ago in range(1, 100)))), asyncio.Semaphore(6)
    counting.gate = gate
    looking = activity(counting, patience=0.05)
    first = await looking.over(NOW - HOUR * 90)
    known = [one.counts is not None for one in first.buckets]
    assert not first.complete
    assert not first.sealed
    assert known == sorted(known)  # the newest are known
    assert 0 < known.count(True) < len(known)
    assert first.back_to == first.buckets[known.index(True)].at
    assert first.whole.calls == sum(one.counts.calls for one in first.buckets if one.counts)
    assert (await looking.over(NOW - HOUR * 90)).whole.calls == first.whole.calls
    for _ in range(1_000):
        gate.release()
    whole = await activity_when_complete(lambda: looking.over(NOW - HOUR * 90))
    assert whole.whole.calls == 90
    await looking.close()


async def activity_when_complete(look: Callable[[], Any]) -> Any:
    for _ in range(200):
        found = await look()
        if found.complete:
            return found
    raise AssertionError("it was never complete")


async def test_the_present_is_told_while_the_past_is_being_counted() -> None:
    counting, clock = ListCounting(old(timedelta(minutes=1), HOUR * 3)), Handset()
    looking = activity(counting, clock, patience=0.05)
    counting.gate = asyncio.Semaphore(4)
    await looking.over(NOW - HOUR * 24)
    clock.pass_by(timedelta(seconds=hours.FRESH))
    counting.gate.release()
    series = await looking.over(NOW - HOUR * 24)
    assert not series.complete
    assert series.buckets[-1].counts is not None
    await looking.close()


async def test_closing_ends_what_is_being_counted() -> None:
    counting = ListCounting(old(HOUR), gate=asyncio.Semaphore(0))
    looking = activity(counting, patience=0.01)
    assert (await looking.servers(NOW - HOUR * 3)).complete is False
    await looking.close()
    assert len(asyncio.all_tasks()) == 1


async def test_what_is_sealed_is_unknown_and_not_zero() -> None:
    sealed = datetime(2026, 11, 22, 3, 20, tzinfo=UTC)
    counting = ListCounting(old(HOUR * 2, HOUR * 20), sealed=sealed)
    looking = activity(counting)
    series = await looking.over(NOW - HOUR * 24)
    assert (series.complete, series.sealed) == (False, True)
    assert series.back_to == datetime(2026, 11, 22, 4, tzinfo=UTC)
    assert next(one.at for one in series.buckets if one.counts is not None) == series.back_to
    assert series.whole.calls == 1
    found = await looking.servers(NOW - HOUR * 24)
    assert (found.complete, found.sealed, found.back_to) == (False, True, series.back_to)
    assert (await looking.over(NOW - HOUR * 5)).complete


async def test_what_was_counted_before_it_was_sealed_stays_known() -> None:
    counting = ListCounting(old(HOUR * 2, HOUR * 20))
    looking = activity(counting)
    assert (await looking.over(NOW - HOUR * 24)).whole.calls == 2
    counting.sealed = NOW - HOUR * 10
    assert (await looking.over(NOW - HOUR * 24)).whole.calls == 2


async def test_a_record_that_begins_later_was_empty_before() -> None:
    counting = ListCounting([Call(NOW - HOUR)])
    series = await activity(counting).over(NOW - HOUR * 24 * 30)
    assert series.complete
    assert series.whole.calls == 1
    assert len(counting.reads) < 10
    counting = ListCounting()
    assert (await activity(counting).over(NOW - HOUR * 24 * 30)).complete
    assert len(counting.reads) < 10


async def test_a_record_that_cannot_be_read_is_told_and_tried_again() -> None:
    counting = ListCounting(old(HOUR), fails=True)
    looking = activity(counting)
    with pytest.raises(LedgerUnavailable):
        await looking.servers(NOW - HOUR * 3)
    counting.fails = False
    assert (await looking.servers(NOW - HOUR * 3)).complete


# --- bounds ------------------------------------------------------------------------------------------------


async def test_no_more_is_kept_than_there_is_room_for(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "MOST_KEPT", 50)
    looking = activity(ListCounting(old(*(HOUR * ago for ago in range(200)))))
    for _ in range(3):
        await looking.over(NOW - HOUR * 24)
        await looking.over(NOW - HOUR * 100)
        assert looking._hours._size <= 50
        assert looking._hours._size == sum(1 + len(one.names) for one in looking._hours._kept.values())
    assert (await looking.over(NOW - HOUR * 10)).complete


async def test_names_beyond_the_most_are_one_sum(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hours, "MOST_NAMES", 3)
    busy = [Call(NOW - HOUR * 3, subject=f"user{number}") for number in range(10) for _ in range(number + 1)]
    looking = activity(ListCounting([*old(), *busy]))
    found = await looking.callers(NOW - HOUR * 5)
    assert [one.name for one in found.items] == ["user9", "user8", "user7"]
    assert found.left_out == 55 - 27


@pytest.mark.parametrize(
    ("since", "until", "step"),
    [
        (NOW + HOUR, None, Step.HOUR),
        (NOW - HOUR, NOW - HOUR, Step.HOUR),
        (NOW - timedelta(days=40), None, Step.DAY),
        (NOW - timedelta(days=5), None, Step.FIVE_MINUTES),
    ],
)
async def test_times_that_make_no_sense_are_refused(
    since: datetime, until: datetime | None, step: Step
) -> None:
    looking = activity(ListCounting(old()))
    assert (await looking.over(NOW - HOUR, NOW + HOUR, step)).buckets
    with pytest.raises(Unfit):
        await looking.over(since, until, step)


async def test_a_month_of_more_servers_than_fit_by_the_hour_is_counted_to_its_end(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A day keeps the names, and its hours only their sums: else each look would throw out what it needs."""
    monkeypatch.setattr(hours, "MOST_KEPT", 6_000)
    servers, since = 40, NOW - timedelta(days=10)
    calls = [
        Call(NOW - timedelta(hours=hour, minutes=1), server=f"s{one}")
        for hour in range(1, 24 * 10)
        for one in range(servers)
    ]
    assert len(calls) > 1.5 * hours.MOST_KEPT
    counting, clock = ListCounting(calls), Handset()
    looking = activity(counting, clock)
    for _ in range(20):  # what was thrown out while both were being counted is counted once more
        counting.reads.clear()
        ranking, series = await asyncio.gather(looking.servers(since), looking.over(since))
        is_young = all(until - start <= 2 * 3_600 for start, until, _ in counting.reads)
        if ranking.complete and series.complete and is_young:
            break
        clock.pass_by(timedelta(seconds=2))
    assert (ranking.complete, series.complete, is_young) == (True, True, True)
    assert series.whole.calls == sum(one.counts.calls for one in ranking.items) == len(calls)
    one = await looking.over(since, server="s7")
    assert (one.complete, one.whole.calls) == (True, len(calls) // servers)


async def test_knocks_are_asked_for_now_and_then() -> None:
    counting, clock = ListCounting(), Handset()
    looking = activity(counting, clock)
    for _ in range(3):
        await looking.knocking(NOW - HOUR)
    assert counting.asked_knocks == 1
    clock.pass_by(timedelta(seconds=40))
    await looking.knocking(NOW - HOUR)
    assert counting.asked_knocks == 2


async def test_all_who_look_on_at_once_share_one_reading_of_who_knocks() -> None:
    counting = ListCounting()
    looking = activity(counting)
    found = await asyncio.gather(*(looking.knocking(NOW - HOUR) for _ in range(5)))
    assert counting.asked_knocks == 1
    assert all(one is found[0] for one in found)


async def test_a_reading_of_who_knocks_that_failed_is_told_to_all_and_tried_again() -> None:
    counting = ListCounting(fails=True)
    looking = activity(counting)
    failed = await asyncio.gather(*(looking.knocking(NOW - HOUR) for _ in range(3)), return_exceptions=True)
    assert [type(one) for one in failed] == [LedgerUnavailable] * 3
    counting.fails = False
    await looking.knocking(NOW - HOUR)
    assert counting.asked_knocks == 2


# --- sums --------------------------------------------------------------------------------------------------


@settings(max_examples=60, deadline=None)
@given(
    ago=st.lists(st.integers(0, 3 * 86_400), max_size=40),
    since=st.integers(1, 3 * 86_400),
    span=st.integers(1, 3 * 86_400),
    minute=st.integers(0, 86_400),
    step=st.sampled_from([Step.HOUR, Step.DAY]),
)
def test_the_buckets_hold_every_call_once(
    ago: Sequence[int], since: int, span: int, minute: int, step: Step
) -> None:
    clock = Handset(NOW + timedelta(seconds=minute))
    calls = [Call(clock.at - timedelta(seconds=one), server=f"s{one % 3}") for one in ago]
    begin = clock.at - timedelta(seconds=since)
    until = min(clock.at, begin + timedelta(seconds=span))

    async def look() -> None:
        looking = activity(ListCounting(calls), clock)
        for _ in range(2):
            series = await looking.over(begin, until, step)
            assert series.complete
            for bucket in series.buckets:
                end = bucket.at + timedelta(seconds=step.seconds)
                assert bucket.counts is not None
                assert bucket.counts.calls == sum(bucket.at <= one.at < end for one in calls)
            assert series.buckets[0].at <= begin < series.buckets[0].at + timedelta(seconds=step.seconds)
            ranking = await looking.servers(begin, until)
            first = begin.replace(minute=0, second=0)
            beyond = until.replace(minute=0, second=0) + (HOUR if until.minute or until.second else HOUR * 0)
            inside = [one for one in calls if first <= one.at < beyond]
            assert {one.name: one.counts.calls for one in ranking.items} == {
                name: sum(one.server == name for one in inside) for name in {one.server for one in inside}
            }

    asyncio.run(look())


@given(st.lists(st.floats(0, 3_000), min_size=1, max_size=50), st.sampled_from([0.5, 0.95, 1.0]))
def test_a_percentile_is_right_to_within_a_band(seconds: list[float], share: float) -> None:
    counts = Counts()
    for one in seconds:
        counts.add(Counts(1, timed=1, seconds=one, longest=one, bands={band_of(one): 1}))
    exact = sorted(seconds)[max(0, -int(-share * len(seconds) // 1) - 1)]
    found = counts.within(share)
    assert found is not None
    assert abs(band_of(found) - band_of(exact)) <= 1
    assert found <= max(seconds)
    assert Counts().p50 is Counts().mean is None
    assert list(BOUNDS) == sorted(set(BOUNDS))
