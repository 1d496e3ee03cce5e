"""Who reads the record is on record: each time for what is taken out of it, once an hour for looks at the list."""

from __future__ import annotations

import json

import pytest

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.operations import readers
from coatcheck.operations.readers import Readers, ReadKind
from coatcheck.operations.registry.changes import Scribe
from doubles.changes import KeptChanges
from doubles.clock import START, HandClock
from doubles.entropy import CountingEntropy

ANN, BEN = (Actor(name, OperatorRole.AUDITOR, "127.0.0.1") for name in ("ann", "ben"))


class Desk:
    def __init__(self) -> None:
        self.clock, self.kept = HandClock(), KeptChanges()
        self.readers = Readers(self.kept, Scribe(self.clock, CountingEntropy()), self.clock)

    @property
    def told(self) -> list[tuple[str, str]]:
        return self.kept.told


async def test_what_is_taken_is_told_each_time_with_what_was_asked_for() -> None:
    desk = Desk()
    for _ in range(2):
        await desk.readers.take(
            ANN, ReadKind.EXPORT, {"subject": "bob", "since": START, "server": None, "errors": False}
        )
    assert desk.told == [("ann", "record.export")] * 2
    assert json.loads(desk.kept.changes[0].after) == {
        "subject": "bob",
        "since": "2026-11-03T09:08:07.000000Z",
    }


async def test_what_cannot_be_put_on_record_is_not_taken() -> None:
    desk = Desk()
    desk.kept.failing = True
    with pytest.raises(LedgerUnavailable):
        await desk.readers.take(ANN, ReadKind.EVIDENCE, {})


async def test_looks_at_the_list_are_one_an_hour_for_each_operator_and_kind() -> None:
    desk = Desk()
    for _ in range(50):
        for by in (ANN, BEN):
            await desk.readers.look(by, ReadKind.LIST, {"subject": "bob"})
        await desk.readers.look(ANN, ReadKind.ARGUMENTS, {})
    expected = [("ann", "record.read"), ("ben", "record.read"), ("ann", "record.read_arguments")]
    assert desk.told == expected
    desk.clock.advance(readers.WINDOW)
    await desk.readers.look(ANN, ReadKind.LIST, {})
    assert desk.told == [*expected, ("ann", "record.read")]


async def test_a_blast_radius_is_told_each_time() -> None:
    desk = Desk()
    for _ in range(3):
        await desk.readers.look(ANN, ReadKind.RADIUS, {"grant": "x"})
    assert desk.told == [("ann", "record.blast_radius")] * 3


async def test_one_can_look_while_nothing_can_be_recorded_and_is_told_of_afterwards() -> None:
    desk = Desk()
    desk.kept.failing = True
    await desk.readers.look(ANN, ReadKind.LIST, {})
    desk.kept.failing = False
    await desk.readers.look(ANN, ReadKind.LIST, {})
    assert desk.told == [("ann", "record.read")]


async def test_what_is_kept_in_mind_is_bounded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(readers, "MAX_LOOKS", 10)
    desk = Desk()
    for number in range(100):
        await desk.readers.look(Actor(f"o{number}", OperatorRole.ADMIN, "cli"), ReadKind.LIST, {})
    assert len(desk.readers._looks) == 10
