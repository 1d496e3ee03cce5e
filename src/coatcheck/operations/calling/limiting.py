"""Limits of policies: what calls take of them, and what they took, by the record, before a restart."""

from __future__ import annotations

import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Sequence
from datetime import timedelta
from decimal import Decimal
from hashlib import sha256
from typing import Final

import msgspec
from msgspec.structs import replace

from coatcheck.core.access.rules import Policies
from coatcheck.core.policy.limits.windows import (
    LENGTHS,
    SECOND,
    Refused,
    Reservation,
    Taken,
    Windows,
    nanoseconds,
    reach_of,
)
from coatcheck.core.recording.charges import Charged, read_charged, was_reached, write_charged
from coatcheck.core.tokens import left_out
from coatcheck.model.decision import Denial
from coatcheck.model.policy import Number, Per, Policy
from coatcheck.model.record import RecordEntry, RecordFilter, Verdict
from coatcheck.model.verdict import Charge
from coatcheck.ports import Clock

log = logging.getLogger(__name__)

MAX_READ: Final = 500_000
"""Calls that are looked through at a start, the newest first."""
PAGE: Final = 5_000
_MAX_PART: Final = 128
"""Longer parts of a key are hashed: callers write names, and counts and records stay small."""
_PER: Final = 2
"""Which part of a key says the length of the window."""

List = Callable[[RecordFilter], Awaitable[Sequence[RecordEntry]]]
"""Returns the newest calls that match, oldest first."""


class Taking(msgspec.Struct, frozen=True):
    """What one call has taken. `charges` is for its record; empty where nothing of it outlasts the call."""

    reservation: Reservation
    charges: str


class Limiting:
    """Reserves what calls take of limits. Time goes on from the wall clock at the start, not with it."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._windows = Windows()
        self._began = nanoseconds(clock.now())
        self._monotonic = clock.monotonic()

    def reserve(self, charges: Sequence[Charge], policies: Policies, subject: str) -> Taking | Denial:
        """Take all charges of a call, to be ended by `end`; or say which does not fit, and for how long."""
        now, kept = self._now(), _kept(charges)
        reserved = self._windows.reserve(kept, now, subject)
        if isinstance(reserved, Refused):
            return _denial_of(reserved, policies)
        lasting = {charge.key: str(charge.amount) for charge in kept if charge.per is not None}
        return Taking(reserved, write_charged(Charged(now, tuple(lasting.items()))) if lasting else "")

    def would_deny(self, charges: Sequence[Charge], policies: Policies, subject: str) -> Denial | None:
        """Return the denial that `reserve` would give now; nothing is taken."""
        refused = self._windows.would_refuse(_kept(charges), self._now(), subject)
        return _denial_of(refused, policies) if refused is not None else None

    def used(self, charge: Charge) -> Number:
        """Return how much is taken now of the limit that a charge is of."""
        return self._windows.used(_kept([charge])[0], self._now())

    def end(self, taking: Taking, *, reached: bool) -> None:
        """Take note that a call is over; what it took is given back if it did not reach its server."""
        if reached:
            self._windows.end(taking.reservation)
        else:
            self._windows.give_back(taking.reservation)

    async def restore(self, policies: Iterable[Policy], list_calls: List) -> None:
        """Count what calls before this start took, as far back as the longest window of these policies goes.

        Raises:
            LedgerUnavailable: the record cannot be read.
        """
        longest = longest_window(policies)
        if longest is None:
            return
        since = self._clock.now() - timedelta(microseconds=reach_of(longest) // 1_000)
        before: int | None = None
        for _ in range(0, MAX_READ, PAGE):
            wanted = RecordFilter(decision=Verdict.ALLOWED, since=since, before=before, limit=PAGE)
            entries = await list_calls(wanted)
            self._windows.restore(taken_in(entries), self._now())
            if len(entries) < PAGE:
                return
            before = entries[0].position
        log.warning("limits count the newest %d calls from before this start; there are more", MAX_READ)

    def _now(self) -> int:
        return self._began + int((self._clock.monotonic() - self._monotonic) * SECOND)


def longest_window(policies: Iterable[Policy]) -> Per | None:
    """Return the longest window of any limit; None where nothing is counted."""
    found = {
        per
        for policy in policies
        for limits in (policy.limits, *(entry.limits for entry in policy.entries))
        for limit in limits
        if (per := getattr(limit, "per", None)) is not None
    }
    return max(found, key=lambda per: LENGTHS[per], default=None)


def taken_in(entries: Iterable[RecordEntry]) -> Iterator[Taken]:
    """Yield what calls on record took and did not give back; what nobody can read was never written by us.

    Where the clock was set forward while the gateway ran, it was taken at the later of both times.
    """
    for entry in entries:
        charges, settlement = entry.record.charges, entry.settlement
        if not charges:
            continue
        if not was_reached(settlement):  # as `end` judged it
            continue
        try:
            charged = read_charged(charges)
            at = max(charged.at, nanoseconds(entry.record.at))
            for key, amount in charged.took:
                yield Taken(key, Per(key[_PER]), at, _number(amount), entry.record.subject)
        except (ValueError, ArithmeticError, IndexError):
            log.warning("what call %s took of limits cannot be read, and is not counted", entry.record.id)


def _kept(charges: Sequence[Charge]) -> list[Charge]:
    return [replace(charge, key=tuple(map(_part, charge.key))) for charge in charges]


def _denial_of(refused: Refused, policies: Policies) -> Denial:
    rule = refused.charge.rule
    message = f"{refused.charge.message}{_advice(refused)}"
    return Denial(rule, refused.because, True, message, policies.basis(rule))


def _number(text: str) -> Number:
    return int(text) if text.isdecimal() else Decimal(text)


def _part(text: str) -> str:
    """Return a part of a key as it may stand on record: short, and without tokens of ours."""
    if len(text) > _MAX_PART:
        return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
    return left_out(text)


def _advice(refused: Refused) -> str:
    if refused.charge.per is None:
        return " Try again when an earlier call has ended."
    if refused.wait is None:
        return ""
    return f" Try again in {max(1, -(-refused.wait // SECOND))} s."
