"""What owners see of themselves: their grants and calls and nobody else's, and of what is hidden no more."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from msgspec.structs import replace

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.reading import Looked
from coatcheck.model.record import RecordEntry, RecordFilter, Verdict
from coatcheck.operations.own import NO_SUCH, NOT_ALLOWED, OwnViews
from coatcheck.operations.registry.patches import NewGrant
from doubles.registries import ROOT, Office
from ledgers import a_record, its_settlement


@dataclass
class Read:
    """Implements of `ports.Ledger` what looking needs; it gives all that it has, whatever is asked."""

    entries: list[RecordEntry] = field(default_factory=list)
    asked: list[RecordFilter] = field(default_factory=list)
    failing: bool = False

    async def look(self, wanted: RecordFilter) -> Looked:
        if self.failing:
            raise LedgerUnavailable("the disk is full")
        self.asked.append(wanted)
        return Looked(self.entries)


async def an_office() -> tuple[Office, Read, OwnViews]:
    office, read = await Office().open(), Read()
    for label, subject in (("a-1", "ada"), ("a-2", "ada"), ("b-1", "bob")):
        await office.grants.issue(ROOT, NewGrant(label, subject, None))
    await office.grants.revoke(ROOT, ["a-2"], "x")
    return office, read, OwnViews(office.grants, read)  # type: ignore[arg-type]


def entry(
    position: int, subject: str, decision: Verdict = Verdict.ALLOWED, reason: str = "", told: str = "", rule: str = "p:/x"
) -> RecordEntry:  # fmt: skip
    record = replace(a_record(), subject=subject, decision=decision, reason=reason, rule=rule)
    return RecordEntry(position, record, replace(its_settlement(record), detail=told))


async def test_an_owner_sees_own_grants_and_calls_only() -> None:
    _, read, views = await an_office()
    read.entries = [entry(1, "ada"), entry(2, "bob"), entry(3, "ada"), entry(4, "")]
    own = await views.of("ada")
    assert [view.label for view in own.grants] == ["a-1"]
    assert [view.label for view in own.over] == ["a-2"]
    assert [call.entry.position for call in own.calls] == [3, 1]
    assert [(asked.subject, asked.errors) for asked in read.asked] == [("ada", False)]
    await views.of("ada", errors_only=True)
    assert read.asked[-1].errors
    nobody = await views.of("nobody")
    assert (nobody.grants, nobody.over, nobody.calls) == ([], [], [])


async def test_an_owner_sees_what_the_caller_was_told_and_no_words_of_a_rule() -> None:
    _, read, views = await an_office()
    read.entries = [
        entry(1, "ada", Verdict.DENIED, "it denies if /branch is main, which holds", "Ask first."),
        entry(2, "ada", Verdict.HIDDEN, "hidden by the policy of payroll"),
        entry(3, "ada", Verdict.ALLOWED, "the rule of the file", "input required"),
        entry(4, "ada", Verdict.DENIED, "it denies if /branch is main, which holds"),
        entry(5, "ada", Verdict.DENIED, "The params are no object.", rule="(request)"),
    ]
    own = await views.of("ada")
    told = [call.because for call in own.calls]
    assert told == ["The params are no object.", NOT_ALLOWED, "", NO_SUCH, "Ask first."]


async def test_grants_are_shown_where_the_record_cannot_be_read() -> None:
    _, read, views = await an_office()
    read.failing = True
    own = await views.of("ada")
    assert (len(own.grants), own.calls, own.why_not) == (1, [], "the disk is full")


async def test_what_is_good_is_shown_first_and_what_is_left_out_is_counted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("coatcheck.operations.own.MOST_GRANTS", 2)
    monkeypatch.setattr("coatcheck.operations.own.MOST_OVER", 3)
    office, _, views = await an_office()
    for number in range(4):
        await office.grants.issue(ROOT, NewGrant(f"a-old-{number}", "ada", None))
    await office.grants.revoke(ROOT, [f"a-old-{number}" for number in range(4)], "x")
    await office.grants.issue(ROOT, NewGrant("z", "ada", None))
    own = await views.of("ada")
    assert [view.label for view in own.grants] == ["a-1", "z"]
    assert [view.label for view in own.over] == ["a-2", "a-old-0", "a-old-1"]
    assert (own.more, own.more_over) == (0, 2)
    await office.grants.issue(ROOT, NewGrant("zz", "ada", None))
    own = await views.of("ada")
    assert ([view.label for view in own.grants], own.more) == (["a-1", "z"], 1)
