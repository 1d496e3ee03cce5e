"""What owners of grants are shown of themselves: their grants and their calls, and nobody else's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import Unavailable
from coatcheck.model.record import RecordEntry, RecordFilter, Verdict
from coatcheck.operations.registry.granting.grants import Grants
from coatcheck.operations.registry.patches import GrantFilter
from coatcheck.operations.registry.views import GrantView
from coatcheck.ports import Ledger

MOST_GRANTS: Final = 200
MOST_OVER: Final = 50
MOST_CALLS: Final = 20
NO_SUCH: Final = "There is no such thing for this grant."
NOT_ALLOWED: Final = "A policy does not allow this call."


@dataclass(frozen=True, slots=True)
class OwnCall:
    """One call. `because` is what its caller was told of a refusal; what is hidden from it stays so."""

    entry: RecordEntry
    because: str


@dataclass(frozen=True, slots=True)
class Own:
    """What one owner is shown. `over` are grants that are; `calls` the newest first.

    `more` of the first and `more_over` of the others are not told. `why_not` says why there are no calls
    here, where they cannot be read.
    """

    grants: Sequence[GrantView]
    over: Sequence[GrantView]
    more: int
    more_over: int
    calls: Sequence[OwnCall]
    why_not: str = ""


class OwnViews:
    """Looks at the grants and calls of one owner."""

    def __init__(self, grants: Grants, ledger: Ledger) -> None:
        self._grants = grants
        self._ledger = ledger

    async def of(self, subject: str, *, errors_only: bool = False) -> Own:
        """Return what the owner of this name is shown; with `errors_only`, of calls what did not end well.

        Raises:
            StoreUnavailable: the store cannot be read.
        """
        grants, more = await self._owned(subject, MOST_GRANTS, over=False)
        gone, more_gone = await self._owned(subject, MOST_OVER, over=True)
        calls, why_not = await self._calls(subject, errors_only=errors_only)
        return Own(grants, gone, more, more_gone, calls, why_not)

    async def _owned(self, subject: str, most: int, *, over: bool) -> tuple[Sequence[GrantView], int]:
        """Return the grants of an owner, and how many there are besides these."""
        page = await self._grants.list(GrantFilter(subject=subject, over=over, limit=most))
        left = (page.found or 0) - len(page.items)
        return [view for view in page.items if view.subject == subject], left

    async def _calls(self, subject: str, *, errors_only: bool) -> tuple[Sequence[OwnCall], str]:
        wanted = RecordFilter(subject=subject, errors=errors_only, limit=MOST_CALLS)
        try:
            looked = await self._ledger.look(wanted)
        except Unavailable as error:
            return [], error.message
        own = [entry for entry in reversed(looked.entries) if entry.record.subject == subject]
        return [OwnCall(entry, _because(entry)) for entry in own], ""


def _because(entry: RecordEntry) -> str:
    """Return the sentence that the caller was told; why a rule says so is for operators."""
    record, settlement = entry.record, entry.settlement
    if record.decision is Verdict.ALLOWED:
        return ""
    if record.decision is Verdict.HIDDEN:
        return NO_SUCH
    told = settlement.detail if settlement is not None else ""
    return told or (record.reason if record.rule.startswith("(") else NOT_ALLOWED)
