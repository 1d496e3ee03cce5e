"""Replays recorded calls under other rules: what is on record of them, limits by time, what changed."""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Final

import msgspec

from coatcheck.core.access.decide import SCOPE_RULE
from coatcheck.core.policy.conditions.arguments import NO_ARGUMENTS, UNRECORDED, Arguments, Outline
from coatcheck.core.policy.conditions.paths import Printed, escaped
from coatcheck.core.policy.defaults import APPROVED_RULE
from coatcheck.core.policy.judging import NO_POLICY, ReadyPolicy
from coatcheck.core.policy.limits.charging import ReadyLimit
from coatcheck.core.policy.limits.windows import SECOND, Reservation, Windows, nanoseconds, reach_of
from coatcheck.core.recording.argument_prints import WHOLE
from coatcheck.core.recording.charges import was_reached
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.policy import SumLimit
from coatcheck.model.record import Record, RecordEntry, Verdict
from coatcheck.model.verdict import Charge, Judgement, PolicyVerdict, Scene

KINDS: Final[Mapping[str, Kind]] = {
    "tools/call": Kind.TOOL,
    "prompts/get": Kind.PROMPT,
    "resources/read": Kind.RESOURCE,
    "resources/subscribe": Kind.RESOURCE,
}
"""The methods that are replayed, and what each is about."""
MAX_GROUPS: Final = 10_000
"""Changes that are told apart; of more, only the number is known."""
MOST_CHARS: Final = 200
"""Names of this length may have been cut when they were recorded."""
MOST_ROLES: Final = 32
_CUT: Final = "***"
"""What stands in a record in place of the rest of a token."""
_JUDGED: Final = frozenset({SCOPE_RULE, APPROVED_RULE, NO_POLICY.rule})
"""The rules in parentheses that `decide` gives; others are of the gateway, and no policy changes them."""

Print = Callable[[str], str]
"""Returns the keyed print of a text."""


# --- what is on record -----------------------------------------------------------------------------------


def is_judged(record: Record) -> bool:
    """Tell whether rules decided on a request, and not the gateway for reasons of its own."""
    return not record.rule.startswith("(") or record.rule in _JUDGED


def is_whole(record: Record) -> bool:
    """Tell whether name and roles are on record as they were."""
    return len(record.tool) < MOST_CHARS and _CUT not in record.tool and len(record.roles) < MOST_ROLES


def scene_of(record: Record) -> Scene:
    """Return from where, with what client and when a recorded request was made."""
    client: str | None = record.client_name
    if len(record.client_name) >= MOST_CHARS or _CUT in record.client_name:
        client = None
    return Scene(record.client_ip, client, record.at)


def arguments_of(record: Record, opened: str | None, print_of: Print) -> Arguments:
    """Return what there is of the arguments: `opened`, the values; else the names, with prints; or nothing.

    Names are known where each value has a print, since then none is cut and none is left out.
    """
    if opened is not None:
        return Arguments(opened.encode("utf-8"))
    if not record.arguments:
        return NO_ARGUMENTS
    try:
        names, prints = _read(record.arguments), _read(record.argument_prints or "{}")
    except msgspec.DecodeError:
        return UNRECORDED
    known = WHOLE not in prints and (bool(prints) or not names)
    if not known or any(len(name) >= MOST_CHARS or _CUT in name for name in names):
        return UNRECORDED
    return Outline({name: Printed(str(prints.get(f"/{escaped(name)}", "")), print_of) for name in names})


_read = msgspec.json.Decoder(dict[str, int | str]).decode


# --- limits ----------------------------------------------------------------------------------------------


def sums_on(policies: Iterable[ReadyPolicy], target: Target, nature: Nature) -> list[ReadyLimit]:
    """Return the limits on sums that calls of a target are charged to."""
    limits = (limit for policy in policies for limit in policy.standing(target, nature).limits)
    return [limit for limit in limits if isinstance(limit.limit, SumLimit)]


class Counting:
    """Counts what calls take of limits, by their recorded times. Calls come in their order.

    There are two counts: of what was taken for sure, and of what may have been, by undecided calls too. What
    the first refuses is denied; what only the second refuses is undecided. Where a sum lacks what one call
    added, it is in doubt for as long as that would have counted, and what still fits is undecided, too.
    """

    def __init__(self) -> None:
        self._sure, self._perhaps = Windows(), Windows()
        self._under_way: list[tuple[int, int, bool, list[tuple[Windows, Reservation]]]] = []
        self._number = count()
        self._doubts: dict[str, int] = {}
        self._newest = 0

    def judge(
        self, entry: RecordEntry, verdict: PolicyVerdict, sums: Sequence[ReadyLimit] = ()
    ) -> PolicyVerdict:
        """Return what comes of a call that policies judge so, once limits were looked at.

        `sums` are the limits on sums that it would have been charged to, where it is undecided.
        """
        if not verdict.judgement.lets_through:
            return verdict
        record, charges = entry.record, verdict.charges
        now = self._newest = max(nanoseconds(record.at), self._newest)
        self._end(now)
        refused = self._sure.would_refuse(charges, now, record.subject)
        if refused is not None:
            return PolicyVerdict(Judgement.DENIED, refused.charge.rule, refused.because)
        verdict = self._doubted(verdict, sums, now, record.subject)
        self._take(entry, charges, now, for_sure=verdict.judgement is Judgement.ALLOWED)
        return verdict

    def _doubted(
        self, verdict: PolicyVerdict, sums: Sequence[ReadyLimit], now: int, by: str
    ) -> PolicyVerdict:
        charged = [charge.rule for charge in verdict.charges]
        for limit in sums:
            if isinstance(limit.limit, SumLimit) and limit.rule not in charged:
                self._doubts[limit.rule] = now + reach_of(limit.limit.per)
        if verdict.judgement is not Judgement.ALLOWED:
            return verdict
        doubted = next((rule for rule in charged if self._doubts.get(rule, 0) > now), None)
        if doubted is not None:
            because = "it needs what an earlier call added, which was not recorded"
            return PolicyVerdict(Judgement.UNDECIDED, doubted, because)
        refused = self._perhaps.would_refuse(verdict.charges, now, by)
        if refused is not None:
            because = "it needs what came of earlier calls, which is undecided"
            return PolicyVerdict(Judgement.UNDECIDED, refused.charge.rule, because)
        return verdict

    def _take(self, entry: RecordEntry, charges: Sequence[Charge], now: int, *, for_sure: bool) -> None:
        record, settlement = entry.record, entry.settlement
        was_allowed = record.decision is Verdict.ALLOWED
        taken = []
        for windows in (self._sure, self._perhaps) if for_sure else (self._perhaps,):
            reserved = windows.reserve(charges, now, record.subject, forced=True)
            if isinstance(reserved, Reservation):
                taken.append((windows, reserved))
        seconds = settlement.seconds if settlement is not None and was_allowed else 0.0
        reached = not was_allowed or was_reached(settlement)
        heapq.heappush(self._under_way, (now + int(seconds * SECOND), next(self._number), reached, taken))

    def _end(self, now: int) -> None:
        while self._under_way and self._under_way[0][0] <= now:
            _, _, reached, taken = heapq.heappop(self._under_way)
            for windows, reservation in taken:
                if reached:
                    windows.end(reservation)
                else:
                    windows.give_back(reservation)


# --- what changed ----------------------------------------------------------------------------------------


class Changed(msgspec.Struct, frozen=True):
    """Calls that were decided alike and would be decided alike, and otherwise than before."""

    subject: str
    grant: str
    server: str
    method: str
    name: str
    before: Verdict
    before_rule: str
    after: Judgement
    after_rule: str


@dataclass(slots=True)
class Many:
    """How many such calls there were, the first and the last time, and why the first would be so decided."""

    because: str
    first: datetime
    last: datetime
    calls: int = 0


class Comparison:
    """Adds up what became of calls: `totals` by outcome, where it is another; `undecided` by rule."""

    def __init__(self) -> None:
        self.looked_at = 0
        self.same = 0
        self.totals: dict[Judgement, int] = dict.fromkeys(Judgement, 0)
        self.undecided: dict[str, int] = {}
        self.groups: dict[Changed, Many] = {}
        self.ungrouped = 0

    def add(self, record: Record, verdict: PolicyVerdict) -> None:
        """Take what would come of a recorded call."""
        self.looked_at += 1
        after = verdict.judgement
        if after is Judgement.UNDECIDED:
            self.totals[after] += 1
            rule = verdict.rule if verdict.rule in self.undecided or len(self.undecided) < MAX_GROUPS else ""
            self.undecided[rule] = self.undecided.get(rule, 0) + 1
        elif is_same(record, verdict):
            self.same += 1
        else:
            self.totals[after] += 1
            self._group(record, verdict)

    def _group(self, record: Record, verdict: PolicyVerdict) -> None:
        key = Changed(
            record.subject,
            record.grant_label,
            record.server,
            record.method,
            record.tool,
            record.decision,
            record.rule,
            verdict.judgement,
            verdict.rule,
        )
        many = self.groups.get(key)
        if many is None:
            if len(self.groups) >= MAX_GROUPS:
                self.ungrouped += 1
                return
            many = self.groups[key] = Many(verdict.because, record.at, record.at)
        many.calls += 1
        many.last = record.at

    def largest(self, most: int) -> list[tuple[Changed, Many]]:
        """Return the groups with the most calls, and of equal ones the first."""
        return heapq.nlargest(most, self.groups.items(), key=lambda pair: pair[1].calls)


def is_same(record: Record, verdict: PolicyVerdict) -> bool:
    """Tell whether a call would be decided as it was.

    A name that was on no list was hidden by the rule that denies it.
    """
    if record.decision.value == verdict.judgement.value:
        return True
    hidden = record.decision is Verdict.HIDDEN and verdict.judgement is Judgement.DENIED
    return hidden and record.rule == verdict.rule
