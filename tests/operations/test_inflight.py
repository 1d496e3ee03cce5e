"""Requests under way: ended by grant, drained at the stop, each cut once and for one reason."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.operations.inflight import Cut, Entry, Inflight
from doubles.bench import settle_down


class Requests:
    """Requests that last until they are cancelled or let go."""

    def __init__(self) -> None:
        self.inflight = Inflight()
        self.entries: list[Entry] = []
        self.tasks: list[asyncio.Task[None]] = []
        self._let_go = asyncio.Event()

    async def start(self, *grants: str) -> None:
        for grant in grants:
            self.tasks.append(asyncio.create_task(self._last(grant)))
        await settle_down(3)

    async def _last(self, grant: str) -> None:
        task = asyncio.current_task()
        assert task is not None
        entry = self.inflight.enter(grant, task)
        self.entries.append(entry)
        try:
            await self._let_go.wait()
        finally:
            self.inflight.leave(entry)

    def let_go(self) -> None:
        self._let_go.set()

    async def ended(self) -> list[bool]:
        """Wait for all and tell which were cancelled."""
        await asyncio.gather(*self.tasks, return_exceptions=True)
        return [task.cancelled() for task in self.tasks]


async def test_ending_a_grant_ends_its_requests_and_no_others() -> None:
    requests = Requests()
    await requests.start("a", "b", "a", "c")
    assert requests.inflight.count == 4
    assert len(requests.inflight.end(frozenset({"a", "c", "nobody"}))) == 3
    await settle_down(3)
    assert requests.inflight.count == 1
    assert [entry.cut for entry in requests.entries] == [Cut.REVOKED, None, Cut.REVOKED, Cut.REVOKED]
    requests.let_go()
    assert await requests.ended() == [True, False, True, True]
    assert requests.inflight.count == 0
    assert not requests.inflight._by_grant
    assert requests.inflight.end(frozenset({"a", "b"})) == []


async def test_the_first_reason_stands() -> None:
    requests = Requests()
    await requests.start("a")
    for cut in (Cut.DISCONNECTED, Cut.REVOKED, Cut.STOPPING):
        requests.entries[0].cancel(cut)
    assert len(requests.inflight.end(frozenset({"a"}))) == 1
    assert requests.entries[0].cut is Cut.DISCONNECTED
    assert requests.tasks[0].cancelling() == 1
    assert await requests.ended() == [True]


async def test_draining_waits_for_requests_that_end_in_time() -> None:
    requests = Requests()
    assert await requests.inflight.drain(0) == 0
    await requests.start("a", "b")
    draining = asyncio.create_task(requests.inflight.drain(30))
    await settle_down(3)
    assert not draining.done()
    requests.let_go()
    assert await draining == 0
    assert await requests.ended() == [False, False]


async def test_draining_cuts_what_is_left() -> None:
    requests = Requests()
    await requests.start("a", "b", "b")
    assert await requests.inflight.drain(0.02) == 3
    assert {entry.cut for entry in requests.entries} == {Cut.STOPPING}
    assert await requests.ended() == [True, True, True]
    assert await requests.inflight.drain(0) == 0


@pytest.mark.parametrize("times", [1, 50])
async def test_nothing_is_kept_of_what_ended(times: int) -> None:
    requests = Requests()
    requests.let_go()
    await requests.start(*(f"grant-{number}" for number in range(times)))
    await requests.ended()
    assert (requests.inflight.count, dict(requests.inflight._by_grant)) == (0, {})
