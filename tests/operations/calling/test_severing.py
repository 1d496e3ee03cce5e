"""Taking a server away ends its calls with a reason, and swallows nobody else's cancellation."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.errors import UpstreamLost
from coatcheck.operations.calling.severing import Severing
from doubles.bench import GIT, TIME


async def test_only_calls_at_the_server_end_and_each_is_told_why() -> None:
    severing = Severing()

    async def call(server: object) -> str:
        with severing.under_way(server):  # type: ignore[arg-type]
            await asyncio.sleep(30)
        return "done"

    tasks = [asyncio.create_task(call(server)) for server in (GIT, TIME, GIT)]
    await asyncio.sleep(0)
    strands = severing.sever(frozenset({GIT.id}))
    assert len(strands) == 2
    for strand in strands:
        await strand.left.wait()
    for task in (tasks[0], tasks[2]):
        with pytest.raises(UpstreamLost, match="git was taken out of use"):
            await task
        assert task.cancelling() == 0
    assert not tasks[1].done()
    assert severing.sever(frozenset({GIT.id})) == []
    tasks[1].cancel()
    with pytest.raises(asyncio.CancelledError):
        await tasks[1]


async def test_a_caller_who_cancels_at_the_same_moment_stays_cancelled() -> None:
    severing = Severing()

    async def call() -> None:
        with severing.under_way(GIT):
            await asyncio.sleep(30)

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    severing.sever(frozenset({GIT.id}))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task


async def test_a_call_that_ends_by_itself_at_that_moment_leaves_nothing_cancelled() -> None:
    severing = Severing()

    async def call() -> str:
        with severing.under_way(GIT):
            try:
                await asyncio.sleep(30)
            except asyncio.CancelledError:
                return "ended all the same"
        return "never"

    task = asyncio.create_task(call())
    await asyncio.sleep(0)
    severing.sever(frozenset({GIT.id}))
    assert await task == "ended all the same"
    assert task.cancelling() == 0
