"""Files of the record: how many are sent at once, what is on record of them, and what is closed when."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from types import SimpleNamespace
from typing import Any, cast

import pytest

from coatcheck.console.pages.log.taking import MOST_AT_ONCE, EvidenceQuery, ExportQuery, TakingPages
from coatcheck.console.web.page import Asked, Nothing, Sent
from coatcheck.console.web.refusing import Refusal
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.operator import Actor, OperatorRole
from doubles.clock import HandClock
from sessions_of_browsers import a_session


class Room:
    """The pages over a record of two pieces; tells what was put on record, and which files are open."""

    def __init__(self) -> None:
        self.taken: list[str] = []
        self.open = 0
        self.broken = self.signed_out = False
        self.gate = asyncio.Event()
        self.gate.set()
        cases = SimpleNamespace(
            clock=HandClock(),
            readers=SimpleNamespace(take=self._take),
            exports=SimpleNamespace(pieces=lambda wanted, form: self._pieces()),
            evidence=self._bundle,
        )
        sessions = SimpleNamespace(stands=lambda session: not self.signed_out)
        self.pages = TakingPages(cast("Any", cases), cast("Any", sessions))

    async def _take(self, by: Actor, how: Any, asked: Any) -> None:
        self.taken.append(how.value)

    async def _pieces(self) -> AsyncIterator[bytes]:
        self.open += 1
        try:
            if self.broken:
                raise LedgerUnavailable("the record cannot be read")
            yield b"one "
            yield b"two"
        finally:
            self.open -= 1

    async def _bundle(self, wanted: Any, by: str) -> AsyncIterator[bytes]:
        await self.gate.wait()
        if self.broken:
            raise LedgerUnavailable("the record cannot be read")
        return self._pieces()

    async def export(self) -> AsyncGenerator[bytes]:
        return parts_of(await self.pages.export(asked_of(ExportQuery())))

    async def evidence(self) -> AsyncGenerator[bytes]:
        return parts_of(await self.pages.evidence(asked_of(EvidenceQuery())))

    async def have_room_for_all(self) -> None:
        """See that as many files can be sent as ever, and none is open."""
        assert self.open == 0
        files = [await self.export() for _ in range(MOST_AT_ONCE)]
        with pytest.raises(Refusal):
            await self.export()
        for one in files:
            await one.aclose()
        assert self.open == 0


def asked_of(query: Any) -> Asked[Any, Nothing]:
    by = Actor("ann", OperatorRole.ADMIN, "192.0.2.7")
    return Asked(
        by=by,
        session=a_session(),
        names={},
        query=query,
        form=Nothing(),
        address="192.0.2.7",
        agent="",
        path="/log/export/file",
        may_enter=True,
    )


def parts_of(sent: Sent) -> AsyncGenerator[bytes]:
    return cast("AsyncGenerator[bytes]", sent.parts)


async def whole(parts: AsyncIterator[bytes]) -> bytes:
    return b"".join([piece async for piece in parts])


async def test_a_file_is_whole_and_leaves_room_for_the_next() -> None:
    room = Room()
    for _ in range(MOST_AT_ONCE + 1):
        assert await whole(await room.export()) == b"one two"
        assert await whole(await room.evidence()) == b"one two"
    assert room.taken == ["record.export", "record.evidence"] * (MOST_AT_ONCE + 1)
    await room.have_room_for_all()


@pytest.mark.parametrize("kind", ["export", "evidence"])
async def test_no_more_than_some_are_made_and_one_too_many_is_not_on_record(kind: str) -> None:
    room = Room()
    files = [await getattr(room, kind)() for _ in range(MOST_AT_ONCE)]
    with pytest.raises(Refusal) as refused:
        await getattr(room, kind)()
    assert (refused.value.status, refused.value.headers["Retry-After"]) == (503, "10")
    assert len(room.taken) == MOST_AT_ONCE
    assert [await whole(one) for one in files] == [b"one two"] * MOST_AT_ONCE
    await room.have_room_for_all()


async def test_bundles_under_way_count_before_they_are_sent() -> None:
    room = Room()
    room.gate.clear()
    making = [asyncio.create_task(room.evidence()) for _ in range(MOST_AT_ONCE)]
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    with pytest.raises(Refusal):
        await room.evidence()
    making.pop().cancel()
    await asyncio.sleep(0)
    room.gate.set()
    for one in making:
        await (await one).aclose()
    await room.have_room_for_all()


@pytest.mark.parametrize("kind", ["export", "evidence"])
async def test_what_fails_gives_its_place_back(kind: str) -> None:
    room = Room()
    room.broken = True
    for _ in range(MOST_AT_ONCE + 1):
        with pytest.raises(LedgerUnavailable):
            await getattr(room, kind)()
    room.broken = False
    await room.have_room_for_all()


async def test_who_leaves_before_or_while_it_is_read_gives_their_place_back() -> None:
    room = Room()
    for _ in range(MOST_AT_ONCE + 1):
        await (await room.export()).aclose()
        begun = await room.evidence()
        assert await anext(begun) == b"one "
        assert room.open == 1
        await begun.aclose()
    await room.have_room_for_all()


async def test_a_file_ends_when_who_asked_is_signed_out() -> None:
    room = Room()
    begun = await room.export()
    assert await anext(begun) == b"one "
    room.signed_out = True
    assert await whole(begun) == b""
    room.signed_out = False
    await room.have_room_for_all()
