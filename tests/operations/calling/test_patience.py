"""Patience runs out without signs of life, is renewed by them, and does not run while a person is asked."""

from __future__ import annotations

import asyncio

import pytest

from coatcheck.operations.calling.patience import CallTimes, Patience

QUIET = 0.05


async def test_it_runs_out() -> None:
    with pytest.raises(TimeoutError), Patience(CallTimes(QUIET, 60.0)):
        await asyncio.Event().wait()


async def test_signs_of_life_renew_it() -> None:
    rounds: list[int] = []
    with Patience(CallTimes(QUIET, 60.0)) as patience:
        while len(rounds) < 6:
            await asyncio.sleep(QUIET / 2)
            patience.renew()
            rounds.append(1)
    assert len(rounds) == 6


async def test_signs_of_life_do_not_go_on_for_ever() -> None:
    rounds: list[int] = []

    async def restless() -> None:
        with Patience(CallTimes(QUIET, 4 * QUIET)) as patience:
            while True:
                await asyncio.sleep(QUIET / 5)
                patience.renew()
                rounds.append(1)

    with pytest.raises(TimeoutError):
        await restless()
    assert len(rounds) > 1


async def test_it_does_not_run_while_someone_is_asked_and_goes_on_after() -> None:
    with Patience(CallTimes(QUIET, QUIET)) as patience:
        patience.hold()
        patience.hold()
        patience.renew()  # of another request meanwhile: the clock stands all the same
        patience.release()
        await asyncio.sleep(3 * QUIET)
        patience.release()

    async def asked_and_then_silent() -> None:
        with Patience(CallTimes(QUIET, 60.0)) as patience:
            patience.hold()
            await asyncio.sleep(2 * QUIET)
            patience.release()
            await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        await asked_and_then_silent()


async def test_what_comes_after_the_end_is_ignored() -> None:
    with Patience(CallTimes(QUIET, 60.0)) as patience:
        patience.hold()
    patience.release()
    patience.renew()
