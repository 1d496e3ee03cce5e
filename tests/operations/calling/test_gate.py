"""The gate: never more at once than allowed, no free place while one waits for it, no place lost."""

from __future__ import annotations

import asyncio
from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.errors import Busy
from coatcheck.operations.calling.gate import Gate, GateLimits
from doubles.bench import settle_down

A, B = UUID(int=1), UUID(int=2)
KEYS = [("alice", A), ("alice", B), ("bob", A)]
Task = asyncio.Task[None]


def waits(gate: Gate) -> int:
    return len(gate._waiting)


async def entering(gate: Gate, *keys: tuple[str, UUID]) -> list[Task]:
    tasks = [asyncio.create_task(gate.enter(*key)) for key in keys]
    await settle_down(5)
    return tasks


# --- tables -----------------------------------------------------------------------------------------------


async def test_each_grant_and_server_has_its_own_limit_and_all_share_one() -> None:
    gate = Gate(GateLimits(per_grant=2, total=4, wait=5))
    tasks = await entering(gate, *[("alice", A)] * 3, *[("bob", A)] * 2, ("alice", B))
    assert [task.done() for task in tasks] == [True, True, False, True, True, False]
    gate.leave("bob", A)
    await settle_down(5)
    assert [task.done() for task in tasks] == [True, True, False, True, True, True]
    gate.leave("alice", A)
    await settle_down(5)
    assert all(task.done() for task in tasks)
    assert waits(gate) == 0


async def test_places_are_given_in_the_order_of_asking() -> None:
    gate = Gate(GateLimits(per_grant=1, total=1, wait=5))
    order: list[int] = []

    async def call(number: int) -> None:
        await gate.enter("alice" if number % 2 else "bob", A)
        order.append(number)
        await asyncio.sleep(0)
        gate.leave("alice" if number % 2 else "bob", A)

    await asyncio.gather(*(call(number) for number in range(5)))
    assert order == list(range(5))


async def test_a_grant_that_waits_for_itself_does_not_hold_up_another() -> None:
    gate = Gate(GateLimits(per_grant=1, total=9, wait=5))
    tasks = await entering(gate, ("alice", A), ("alice", A), ("bob", A), ("alice", B))
    assert [task.done() for task in tasks] == [True, False, True, True]
    tasks[1].cancel()
    await settle_down(5)
    assert waits(gate) == 0


async def test_whoever_waits_too_long_is_told_and_takes_no_place_later() -> None:
    gate = Gate(GateLimits(per_grant=1, total=1, wait=0.02))
    await gate.enter("alice", A)
    with pytest.raises(Busy, match=r"No place became free in 0\.02 s"):
        await gate.enter("alice", A)
    assert waits(gate) == 0
    gate.leave("alice", A)
    await gate.enter("bob", B)
    assert gate._total == 1


async def test_the_queue_is_bounded() -> None:
    gate = Gate(GateLimits(per_grant=2, total=2, wait=5))
    tasks = await entering(gate, *[("alice", A)] * 10)
    assert [task.done() for task in tasks].count(True) == 2
    with pytest.raises(Busy, match="Too many calls at once"):
        await gate.enter("bob", B)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    assert waits(gate) == 0


async def test_a_place_that_comes_as_its_waiter_is_cancelled_goes_to_the_next() -> None:
    gate = Gate(GateLimits(per_grant=9, total=1, wait=5))
    _, second, third = await entering(gate, ("alice", A), ("alice", A), ("bob", A))
    gate.leave("alice", A)  # the second has its place but has not run yet
    second.cancel()
    with pytest.raises(asyncio.CancelledError):
        await second
    await third
    gate.leave("bob", A)
    assert (gate._total, dict(gate._running), waits(gate)) == (0, {}, 0)


async def test_a_waiter_that_is_cancelled_as_a_place_comes_is_passed_over() -> None:
    gate = Gate(GateLimits(per_grant=9, total=1, wait=5))
    _, second, third = await entering(gate, ("alice", A), ("alice", A), ("bob", A))
    second.cancel()  # it has not run yet, so it still stands in the queue
    gate.leave("alice", A)
    await third
    with pytest.raises(asyncio.CancelledError):
        await second
    assert (gate._total, waits(gate)) == (1, 0)


# --- any history ------------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(st.sampled_from(("enter", "enter", "leave", "cancel", "both", "run")), st.integers(0, 50)),
    max_size=40,
)


@settings(max_examples=250, deadline=None)
@given(STEPS, st.integers(1, 3), st.integers(1, 4))
def test_after_any_history_the_books_agree(steps: list[tuple[str, int]], per_grant: int, total: int) -> None:
    asyncio.run(_replay(steps, Gate(GateLimits(per_grant, total, 30)), per_grant, total))


async def _replay(steps: list[tuple[str, int]], gate: Gate, per_grant: int, total: int) -> None:
    """`both` leaves and cancels without a pause between, so that the two meet in one turn of the loop."""
    tasks: list[tuple[tuple[str, UUID], Task]] = []
    for step, pick in steps:
        if step == "enter":
            key = KEYS[pick % len(KEYS)]
            tasks.append((key, asyncio.create_task(gate.enter(*key))))
        if step in {"leave", "both"} and (inside := [pair for pair in tasks if _is_in(pair[1])]):
            pair = inside[pick % len(inside)]
            tasks.remove(pair)
            gate.leave(*pair[0])
        if step in {"cancel", "both"} and (out := [task for _, task in tasks if not task.done()]):
            out[pick % len(out)].cancel()
        if step != "both":
            await settle_down(6)
            _check(gate, tasks, per_grant, total)
    await settle_down(6)
    _check(gate, tasks, per_grant, total)
    await _leave_all(gate, tasks)
    assert (gate._total, dict(gate._running), waits(gate)) == (0, {}, 0)


def _is_in(task: Task) -> bool:
    return task.done() and not task.cancelled() and task.exception() is None


def _check(gate: Gate, tasks: list[tuple[tuple[str, UUID], Task]], per_grant: int, total: int) -> None:
    inside = Counter(key for key, task in tasks if _is_in(task))
    waiting = [key for key, task in tasks if not task.done()]
    assert inside.total() == gate._total <= total
    assert dict(inside) == dict(gate._running)
    assert max(inside.values(), default=0) <= per_grant
    assert len(waiting) == waits(gate)
    assert inside.total() == total or all(inside[key] == per_grant for key in waiting)


async def _leave_all(gate: Gate, tasks: list[tuple[tuple[str, UUID], Task]]) -> None:
    while inside := [pair for pair in tasks if _is_in(pair[1])]:
        for pair in inside:
            tasks.remove(pair)
            gate.leave(*pair[0])
        await settle_down(6)
    assert all(task.done() for _, task in tasks)
