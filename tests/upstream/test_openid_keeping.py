"""What is fetched of a provider is kept, fetched once for all who wait, and not for whoever asks often."""

from __future__ import annotations

import asyncio
import sys

import pytest

from coatcheck.errors import ConfigError, UpstreamBadReply
from coatcheck.upstream.openid.keeping import FAILED, LIFE, PAUSE, Kept
from coatcheck.upstream.openid.signatures import check_installed
from doubles.clock import HandClock


class Source:
    def __init__(self) -> None:
        self.fetched = 0
        self.fails: Exception | None = None
        self.gate = asyncio.Event()
        self.gate.set()

    async def fetch(self) -> int:
        self.fetched += 1
        await self.gate.wait()
        if self.fails is not None:
            raise self.fails
        return self.fetched


async def test_it_is_kept_for_an_hour_and_renewed_once_a_minute() -> None:
    clock, source = HandClock(), Source()
    kept = Kept(source.fetch, clock)
    assert [await kept.get(), await kept.get(), await kept.renewed()] == [1, 1, 1]
    clock.advance(PAUSE)
    assert [await kept.get(), await kept.renewed(), await kept.renewed()] == [1, 2, 2]
    clock.advance(LIFE)
    assert [await kept.get(), await kept.get()] == [3, 3]


async def test_a_failure_is_told_for_a_while_and_then_tried_again() -> None:
    clock, source = HandClock(), Source()
    kept = Kept(source.fetch, clock)
    assert await kept.get() == 1
    clock.advance(LIFE)
    source.fails = UpstreamBadReply("no")
    for ask in (kept.renewed, kept.renewed, kept.get):
        with pytest.raises(UpstreamBadReply):
            await ask()
    assert source.fetched == 2
    clock.advance(FAILED)
    source.fails = None
    assert await kept.get() == 3


async def test_what_is_at_hand_stays_good_for_its_hour_when_somebody_fails_to_renew_it() -> None:
    clock, source = HandClock(), Source()
    kept = Kept(source.fetch, clock)
    assert await kept.get() == 1
    clock.advance(PAUSE)
    source.fails = UpstreamBadReply("no")
    with pytest.raises(UpstreamBadReply):
        await kept.renewed()
    assert await kept.get() == 1
    clock.advance(FAILED)
    assert await kept.get() == 1
    assert source.fetched == 2
    source.fails = None
    assert await kept.renewed() == 3


async def test_a_defect_makes_nothing_older_good_again() -> None:
    clock, source = HandClock(), Source()
    kept = Kept(source.fetch, clock)
    assert await kept.get() == 1
    clock.advance(LIFE)
    source.fails = ZeroDivisionError()
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            await kept.get()
    assert source.fetched == 3


async def test_who_gives_up_waiting_takes_nothing_from_the_others() -> None:
    source = Source()
    kept = Kept(source.fetch, HandClock())
    source.gate.clear()
    waiting = [asyncio.create_task(kept.get()) for _ in range(5)]
    await asyncio.sleep(0)
    waiting[0].cancel()
    await asyncio.sleep(0)
    source.gate.set()
    assert await asyncio.gather(*waiting[1:]) == [1, 1, 1, 1]
    assert source.fetched == 1


def test_the_extra_is_named_where_it_is_missing(monkeypatch: pytest.MonkeyPatch) -> None:
    check_installed()
    monkeypatch.setitem(sys.modules, "joserfc", None)
    with pytest.raises(ConfigError) as missing:
        check_installed()
    assert "pip install 'coatcheck[oidc]'" in missing.value.fix
