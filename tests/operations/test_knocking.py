"""Notices about grants that have ended: each knock once a day, many in one message, all of it bounded."""

from __future__ import annotations

import asyncio
from contextlib import suppress

import pytest

from coatcheck.model.record import Record
from coatcheck.operations import knocking as tested
from coatcheck.operations.knocking import AGAIN, MAX_KNOCKS, MOST_LINES, Knocking
from ledgers import a_record


class Heard:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notify(self, text: str) -> None:
        self.texts.append(text)


def a_knock(grant: str = "g1", address: str = "192.0.2.1", reason: str = "revoked") -> Record:
    return a_record(grant_id=grant, client_ip=address, reason=reason)


def test_a_knock_is_told_with_grant_reason_and_address() -> None:
    knocking, heard = Knocking(), Heard()
    assert knocking.look(heard, 0.0) == []
    knocking.note(a_knock())
    knocking.note(a_knock(reason="expired", address=""))
    assert len(knocking.look(heard, 0.0)) == 2
    (text,) = heard.texts
    assert "g1, which is refused (revoked), was presented from 192.0.2.1" in text
    assert "g1, which is refused (expired), was presented from many addresses" in text
    assert text.endswith("See: coatcheck logs --knocking")


def test_the_same_knock_is_told_once_a_day() -> None:
    knocking, heard = Knocking(), Heard()
    for now, told in ((0.0, 1), (60.0, 0), (AGAIN - 1, 0), (AGAIN, 1), (AGAIN + 60, 0)):
        knocking.note(a_knock())
        assert len(knocking.look(heard, now)) == told
    knocking.note(a_knock(address="192.0.2.2"))
    assert len(knocking.look(heard, AGAIN + 61)) == 1
    assert len(heard.texts) == 3


def test_a_flood_is_one_message_and_keeps_its_bounds() -> None:
    knocking, heard = Knocking(), Heard()
    for number in range(3 * MAX_KNOCKS):
        knocking.note(a_knock(address=f"address {number}"))
    assert len(knocking.look(heard, 0.0)) == MAX_KNOCKS
    (text,) = heard.texts
    assert len(text.splitlines()) == MOST_LINES + 3
    assert f"- and {MAX_KNOCKS - MOST_LINES} more" in text
    assert len(knocking._told) == MAX_KNOCKS
    assert not knocking._fresh


async def test_it_goes_on_telling_whatever_a_notifier_does(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tested, "LOOK_EVERY", 0.001)
    heard = Heard()

    class Broken:
        def notify(self, text: str) -> None:
            heard.notify(text)
            if len(heard.texts) == 1:
                raise ZeroDivisionError

    knocking = Knocking()
    knocking.note(a_knock())
    running = asyncio.create_task(knocking.run(Broken()))
    async with asyncio.timeout(5):
        while len(heard.texts) < 2:
            await asyncio.sleep(0.005)
            knocking.note(a_knock(address="192.0.2.2"))
    running.cancel()
    with suppress(asyncio.CancelledError):
        await running
