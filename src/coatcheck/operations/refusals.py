"""Recording callers that were not let in: the first at once, repeats counted, so that a flood stays small."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import LedgerUnavailable
from coatcheck.model.record import Record, Verdict
from coatcheck.operations.records import Records
from coatcheck.operations.tally import Tally
from coatcheck.ports import Clock, Refused

WINDOW: Final = 60.0
"""Seconds in which equal refusals are folded into one record."""
MAX_FOLDED: Final = 10_000
MAX_OF_ADDRESS: Final = 20
"""Records of different refusals by one address within the window; what follows is folded by reason."""
MAX_SUMMARIES: Final = 100
"""Most records of repeats written at once: what does not fit is kept for the next time."""

_NOT_RECORDED: Final = frozenset({"missing"})
"""Probes without a token are what clients do to find out; they are counted only."""

_STRANGER: Final = "sha256:"
"""How the trace of what is no grant of ours begins."""
_Key = tuple[str, str, str]


@dataclass(slots=True)
class _Fold:
    since: float
    repeats: int
    route: str


class Refusals:
    """Remembers recent refusals by (what was presented, reason, address).

    Of an address that presents ever other things only the reasons are told apart after a while.
    """

    def __init__(self, records: Records, clock: Clock, tally: Tally) -> None:
        self._records = records
        self._clock = clock
        self._tally = tally
        self._folds: OrderedDict[_Key, _Fold] = OrderedDict()
        self._told: OrderedDict[str, tuple[float, int]] = OrderedDict()
        """Address -> when its window began, and how many different refusals it caused since."""

    async def note(self, refused: Refused, route: str, address: str) -> None:
        """Count a refusal and record it, unless the same one was recorded within the window.

        Raises:
            LedgerUnavailable: the record could not be made durable.
        """
        self._tally.refused(refused.reason)
        if refused.reason in _NOT_RECORDED:
            return
        now = self._clock.monotonic()
        key = self._key(refused, address, now)
        fold = self._folds.get(key)
        if fold is not None and now - fold.since < WINDOW:
            fold.repeats += 1
            return
        repeats = fold.repeats if fold else 0
        self._folds.pop(key, None)
        self._folds[key] = _Fold(now, 0, route)
        if len(self._folds) > MAX_FOLDED:
            self._folds.popitem(last=False)
        await self._write(key, route, repeats + 1)

    def _key(self, refused: Refused, address: str, now: float) -> _Key:
        """Return what the refusal is folded under: strangers who vary what they send fill no disk."""
        key = (refused.trace, refused.reason, address)
        if key in self._folds or not refused.trace.startswith(_STRANGER):
            return key  # a grant that ended is named, however often it is tried
        since, count = self._told.pop(address, (now, 0))
        if now - since >= WINDOW:
            since, count = now, 0
        self._told[address] = (since, count + 1)
        if len(self._told) > MAX_FOLDED:
            self._told.popitem(last=False)
        return key if count < MAX_OF_ADDRESS else ("", refused.reason, address)

    async def flush(self, *, everything: bool = False) -> None:
        """Record the repeats of windows that have passed, or of all. Call it about once a minute.

        Raises:
            LedgerUnavailable: a record could not be made durable.
        """
        now = self._clock.monotonic()
        passed = [key for key, fold in self._folds.items() if everything or now - fold.since >= WINDOW]
        for key in passed if everything else passed[:MAX_SUMMARIES]:
            fold = self._folds.pop(key)
            if fold.repeats:
                await self._write(key, fold.route, fold.repeats)

    async def _write(self, key: _Key, route: str, repeats: int) -> None:
        try:
            await self._records.refuse(self._record(key, route, repeats))
        except LedgerUnavailable:
            fold = self._folds.setdefault(key, _Fold(0.0, 0, route))
            fold.since, fold.repeats = float("-inf"), fold.repeats + repeats  # for the next time
            raise

    def _record(self, key: _Key, route: str, repeats: int) -> Record:
        trace, reason, address = key
        return Record(
            id=self._records.new_id(),
            at=self._clock.now(),
            subject="",
            grant_id=trace,
            grant_label="",
            route=route,
            server="",
            method="",
            tool="",
            decision=Verdict.REFUSED,
            rule="(identity)",
            reason=reason,
            client_ip=address,
            client_name="",
            repeats=repeats,
        )
