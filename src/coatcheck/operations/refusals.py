"""Recording what was not let in: the first at once, repeats counted, so that a flood stays small."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import KNOCKING, Outcome, Record, Verdict
from coatcheck.operations.records import Asked, Matter, Records
from coatcheck.operations.tally import Tally
from coatcheck.ports import STRANGER, Clock, Refused

WINDOW: Final = 60.0
"""Seconds in which equal refusals are folded into one record."""
MAX_FOLDED: Final = 10_000
MAX_OF_ADDRESS: Final = 20
"""Records of different refusals by one address within the window; what follows is folded by reason."""
MAX_OF_GRANT: Final = 1_000
"""The same for the requests of one grant that are refused unread; what follows is folded by rule."""
MAX_OF_ALL: Final = 500
"""The same for everybody who was not identified, together; what follows is folded whatever the address."""
MAX_SUMMARIES: Final = 100
"""Most records of repeats written at once: what does not fit is kept for the next time."""
IDENTITY_RULE: Final = "(identity)"
DOOR_RULE: Final = "(door)"

_NOT_RECORDED: Final = frozenset({"missing"})
"""Probes without a token are what clients do to find out; they are counted only."""
_FOLDED: Final = f"one of more than {MAX_OF_GRANT} such requests in a minute: see the entries before"
_Key = tuple[str, ...]


@dataclass(slots=True)
class _Fold:
    since: float
    repeats: int
    record: Record


class Refusals:
    """Remembers recent refusals by who was refused, why, and from where.

    Of who is refused for ever other things only the reasons are told apart after a while. `knocked` hears of
    the records of those who present what was good once (`KNOCKING`).
    """

    def __init__(
        self, records: Records, clock: Clock, tally: Tally, knocked: Callable[[Record], None] | None = None
    ) -> None:
        self._records = records
        self._clock = clock
        self._tally = tally
        self._knocked = knocked
        self._folds: OrderedDict[_Key, _Fold] = OrderedDict()
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Who -> when its window began, and how many different refusals it caused since."""

    async def note(self, refused: Refused, route: str, address: str) -> None:
        """Count a caller that was not identified and record it, unless that was done within the window.

        Raises:
            LedgerUnavailable: the record could not be made durable, as for all of these.
        """
        self._tally.refused(refused.reason)
        if refused.reason not in _NOT_RECORDED:
            await self._note_stranger(refused.trace, IDENTITY_RULE, refused.reason, route, address)

    async def note_at_door(self, reason: str, route: str, address: str) -> None:
        """Do the same for a request that came to a wrong name, or from a wrong page; `reason` is a word."""
        await self._note_stranger("", DOOR_RULE, reason, route, address)

    async def note_asked(
        self, asked: Asked, matter: Matter, verdict: Verdict, rule: str, because: str
    ) -> None:
        """Record a request of a known caller that is refused before any policy sees it.

        Each has a record of its own, as calls have, up to `MAX_OF_GRANT`; what goes beyond is folded.
        """
        grant_id, now = asked.principal.grant_id, self._clock.monotonic()
        if self._count(f"grant {grant_id}", now) < MAX_OF_GRANT:
            await self._records.close(asked, matter, verdict, rule, because, Outcome.DENIED)
            return
        self._tally.settled(matter.method, Outcome.DENIED)
        key: _Key = (grant_id, rule, verdict.value, asked.address)
        blank = Matter("", matter.server)
        await self._note(key, now, lambda: self._records.make(asked, blank, verdict, rule, _FOLDED))

    async def flush(self, *, everything: bool = False) -> None:
        """Record the repeats of windows that have passed, or of all. Call it about once a minute."""
        now = self._clock.monotonic()
        passed = [key for key, fold in self._folds.items() if everything or now - fold.since >= WINDOW]
        for key in passed if everything else passed[:MAX_SUMMARIES]:
            fold = self._folds.pop(key)
            if fold.repeats:
                await self._write(key, fold.record, fold.repeats)

    async def _note_stranger(self, trace: str, rule: str, reason: str, route: str, address: str) -> None:
        now = self._clock.monotonic()
        trace, address = self._narrowed(trace, rule, reason, address, now)
        key = (trace, rule, reason, address)

        def make() -> Record:
            return self._records.make_refused(trace, rule, reason, route, address)

        await self._note(key, now, make)

    def _narrowed(self, trace: str, rule: str, reason: str, address: str, now: float) -> tuple[str, str]:
        """Return what a refusal is folded under: strangers who vary what they send fill no disk."""
        if (trace, rule, reason, address) in self._folds:
            return trace, address
        stranger = trace.startswith(STRANGER)  # a grant that ended is named, however often it is tried
        if stranger and self._count(address, now) >= MAX_OF_ADDRESS:
            trace, stranger = "", False
            if (trace, rule, reason, address) in self._folds:
                return trace, address
        if self._count("", now) >= MAX_OF_ALL:
            return "" if stranger else trace, ""
        return trace, address

    def _count(self, who: str, now: float) -> int:
        """Count one more different refusal of somebody; return how many there were before in the window."""
        since, count = self._told.pop(who, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._told[who] = (since, count + 1)
        if len(self._told) > MAX_FOLDED:
            self._told.popitem(last=False)
        return count

    async def _note(self, key: _Key, now: float, make: Callable[[], Record]) -> None:
        fold = self._folds.get(key)
        if fold is not None and now - fold.since < WINDOW:
            fold.repeats += 1
            return
        repeats = fold.repeats if fold else 0
        self._folds.pop(key, None)
        record = make()
        self._folds[key] = _Fold(now, 0, record)
        if len(self._folds) > MAX_FOLDED:
            self._folds.popitem(last=False)
        if self._knocked is not None and record.reason in KNOCKING and record.decision is Verdict.REFUSED:
            self._knocked(record)
        await self._write(key, record, repeats + 1)

    async def _write(self, key: _Key, record: Record, repeats: int) -> None:
        now = self._clock.now()
        try:
            await self._records.refuse(replace(record, id=self._records.new_id(), at=now, repeats=repeats))
        except LedgerUnavailable:
            fold = self._folds.setdefault(key, _Fold(0.0, 0, record))
            fold.since, fold.repeats = float("-inf"), fold.repeats + repeats  # for the next time
            raise
