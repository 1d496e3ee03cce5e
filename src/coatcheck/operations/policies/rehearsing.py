"""Judges recorded calls, in their order, by rules that are not in force, and adds up what changes."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from functools import lru_cache

from coatcheck.core.access.classify import nature_of_unlisted
from coatcheck.core.access.decide import SCOPE_RULE, rehearse
from coatcheck.core.access.rules import Rules
from coatcheck.core.policy.trying.replaying import (
    KINDS,
    Comparison,
    Counting,
    Print,
    arguments_of,
    is_judged,
    is_whole,
    scene_of,
    sums_on,
)
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.grant import IssuedGrant, Principal, Voucher
from coatcheck.model.record import Record, RecordEntry, Verdict
from coatcheck.model.server import Server
from coatcheck.model.verdict import Judgement, PolicyVerdict
from coatcheck.operations.directory import FORWARDED, Snapshot
from coatcheck.operations.registry.granting.showing import all_grants
from coatcheck.operations.views import ToolView

_SUBSCRIBE = "resources/subscribe"
_PRINTS_KEPT = 65_536
"""More than a document has texts."""


class LeftOut(StrEnum):
    """Why a recorded call is not judged again."""

    GATEWAY = "the gateway decided it, and no rule"
    SERVER = "its server is not in use any more"
    GRANT = "its grant is gone, and with it what it reached"
    CUT = "its name or roles are not on record as a whole"


class Tools:
    """What tools servers list now, and what those do to the world."""

    def __init__(self, views: Sequence[ToolView], failing: Sequence[tuple[str, str]]) -> None:
        self._natures: dict[str, dict[str, Nature]] = {}
        for view in views:
            self._natures.setdefault(view.server, {})[view.entry.name] = view.nature
        self._failing = {server for server, _ in failing}

    def nature(self, target: Target, server: Server) -> Nature:
        """Return what a tool does; one that is not listed any more is ambiguous, but for the marks."""
        found = self._natures.get(server.name, {}).get(target.name)
        return nature_of_unlisted(target.name, server.marks)[0] if found is None else found

    def may_list(self, target: Target, server: Server) -> bool:
        """Tell whether a tool may be on a list; of others a denial tells nobody."""
        if target.kind is not Kind.TOOL or server.name in self._failing:
            return True
        return target.name in self._natures.get(server.name, {})


def _takes(entry: RecordEntry) -> bool:
    """Tell whether a call takes of limits: a subscription does not where the gateway itself watches."""
    record, settlement = entry.record, entry.settlement
    if record.method != _SUBSCRIBE:
        return True
    if record.decision is Verdict.DENIED:
        return "/limits/" in record.rule
    return settlement is None or settlement.request_bytes > 0


class Rehearsal:
    """Judges calls as if `rules` had been in force. `comparison` and `left_out` add up what comes of it."""

    def __init__(
        self,
        snapshot: Snapshot,
        rules: Rules,
        tools: Tools,
        open_values: Callable[[Record], str | None],
        print_of: Print,
    ) -> None:
        self.comparison = Comparison()
        self.left_out: dict[LeftOut, int] = {}
        self._servers: Mapping[str, Server] = snapshot.servers
        self._grants = {grant.id: grant for grant in all_grants(snapshot)}
        self._rules = rules
        self._tools = tools
        self._open = open_values
        # A policy may have thousands of texts to compare with, and each call is compared with all of them.
        self._print_of = lru_cache(_PRINTS_KEPT)(print_of)
        self._counting = Counting()

    def take(self, entry: RecordEntry, *, told: bool) -> None:
        """Judge a call. `told` False: only its limits count, for it was before what is asked about."""
        record = entry.record
        kind = KINDS.get(record.method)
        if kind is None or record.decision is Verdict.REFUSED:
            return
        found = self._judge(entry, Target(kind, record.tool))
        if not told:
            return
        if isinstance(found, LeftOut):
            self.left_out[found] = self.left_out.get(found, 0) + 1
        else:
            self.comparison.add(record, found)

    def _judge(self, entry: RecordEntry, target: Target) -> PolicyVerdict | LeftOut:
        record = entry.record
        server = self._servers.get(record.server)
        if not is_judged(record):
            return LeftOut.GATEWAY
        if server is None:
            return LeftOut.SERVER
        if not is_whole(record):
            return LeftOut.CUT
        if record.rule == SCOPE_RULE and record.grant_id not in self._grants:
            return LeftOut.GRANT
        principal = self._principal(record)
        nature = self._tools.nature(target, server) if target.kind is Kind.TOOL else Nature.AMBIGUOUS
        arguments = arguments_of(record, self._open(record), self._print_of)
        scene = scene_of(record)
        verdict = rehearse(target, principal, server, self._rules, nature, scene, arguments)
        if _takes(entry):
            undecided = verdict.judgement is Judgement.UNDECIDED
            applied = self._rules.policies.on(principal, server).policies if undecided else ()
            verdict = self._counting.judge(entry, verdict, sums_on(applied, target, nature))
        if verdict.judgement is Judgement.DENIED and not self._may_list(record, target, server):
            return PolicyVerdict(Judgement.HIDDEN, verdict.rule, verdict.because)
        return verdict

    def _may_list(self, record: Record, target: Target, server: Server) -> bool:
        """Tell whether a name may be on a list; of prompts it is only known what came of it then."""
        if target.kind is Kind.PROMPT and record.decision is Verdict.HIDDEN:
            return False
        return self._tools.may_list(target, server)

    def _principal(self, record: Record) -> Principal:
        """Return who called: as recorded, with what the grant reaches now; one that is gone, everything."""
        grant = self._grants.get(record.grant_id)
        forwarded = record.grant_id.startswith(FORWARDED)
        return Principal(
            record.subject,
            frozenset(record.roles),
            record.grant_id,
            record.grant_label,
            Voucher.FORWARDED if forwarded else Voucher.GRANT,
            grant.servers if grant is not None else None,
            grant.tools if isinstance(grant, IssuedGrant) else None,
        )
