"""The operations, wired as the product wires them, on doubles of every port."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from uuid import UUID

from msgspec.structs import replace

from coatcheck.core.access import decide as module
from coatcheck.core.access.rules import NO_POLICIES, Policies, Rules
from coatcheck.core.sealing.states import Seal
from coatcheck.core.wire.messages import raw_of
from coatcheck.model.access import OPEN, Access, AccessList, AccessRule, Nature
from coatcheck.model.call import Call, Caller, Kind, Notice, Reply, Target
from coatcheck.model.decision import Decision
from coatcheck.model.declaration import AuditRules
from coatcheck.model.era import Era
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.record import Outcome, RecordEntry
from coatcheck.model.server import Server, StdioReach
from coatcheck.model.verdict import Scene
from coatcheck.operations.calling.call import Calls, Performed
from coatcheck.operations.calling.gate import Gate, GateLimits
from coatcheck.operations.calling.limiting import Limiting
from coatcheck.operations.calling.patience import CallTimes
from coatcheck.operations.calling.states import States
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.hearing.changes import Changes
from coatcheck.operations.hearing.listening import Listening
from coatcheck.operations.hearing.standing import StandingRequests
from coatcheck.operations.hearing.watches import Watches
from coatcheck.operations.lists import KINDS, Lists
from coatcheck.operations.reaching.conversation import Conversation, Conversations
from coatcheck.operations.reaching.places import PlaceLimits, Places
from coatcheck.operations.reaching.served import ListTimes
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Asked, Records
from coatcheck.operations.refusals import Refusals
from coatcheck.operations.tally import Tally
from coatcheck.ports import Presented, Refused
from doubles.clock import HandClock
from doubles.entropy import CountingEntropy
from doubles.upstreams import ScriptedUpstreams
from doubles.voices import ScriptedVoice
from ledgers import MemoryLedger

CALLER = Caller(Era.LEGACY, "2025-06-18", "claude-code", "2.1")
SENTRY = Server(UUID(int=1), "sentry", StdioReach("sentry"))
GIT = Server(UUID(int=2), "git", StdioReach("git"))
TIME = Server(UUID(int=3), "time", StdioReach("time"))


def a_principal(
    subject: str = "alice", roles: tuple[str, ...] = (), scope: tuple[Server, ...] | None = None
) -> Principal:
    servers = None if scope is None else frozenset(server.id for server in scope)
    return Principal(
        subject, frozenset(roles), f"file-{subject}", f"{subject}'s laptop", Voucher.GRANT, servers
    )


def asked_by(principal: Principal, route: str = "/mcp") -> Asked:
    return Asked(principal, CALLER, route, "192.0.2.1")


ALICE = asked_by(a_principal())


def decide(
    call: Call, target: Target, principal: Principal, server: Server, access: Access, nature: Nature
) -> Decision:
    """Judge a call by the access rules of a file alone."""
    return module.decide(call, target, principal, server, Rules(access), nature, Scene())


def may_see(target: Target, principal: Principal, server: Server, access: Access, nature: Nature) -> bool:
    """Tell whether something is visible by the access rules of a file alone."""
    return module.may_see(target, principal, server, Rules(access), nature)


def denying(*globs: str, subjects: tuple[str, ...] = (), default: bool = True) -> AccessList:
    return AccessList((AccessRule(globs, allow=False, subjects=frozenset(subjects)),), default)


def a_call(tool: str = "find", arguments: object = None, method: str = "tools/call") -> Call:
    return Call(
        b"7", method, {"name": raw_of(tool), "arguments": raw_of({} if arguments is None else arguments)}
    )


def nobody(presented: Presented) -> Principal | Refused:
    raise AssertionError(f"nobody is identified here: {presented}")


def snapshot_of(
    *servers: Server, access: Access = OPEN, epoch: int = 1, policies: Policies = NO_POLICIES
) -> Snapshot:
    return Snapshot(
        epoch,
        MappingProxyType({server.name: server for server in servers}),
        MappingProxyType({server.id: server for server in servers}),
        nobody,
        Rules(access, policies),
        AuditRules(),
        MappingProxyType({}),
        MappingProxyType({}),
        sight=epoch,
    )


def unheard(notice: Notice) -> None:
    raise AssertionError(f"nobody asked for {notice.method}")


class Bench:
    """Use it inside a running loop. `entries` is what the ledger holds."""

    def __init__(
        self,
        *servers: Server,
        timeout: float = 5.0,
        gate: GateLimits | None = None,
        times: ListTimes | None = None,
        places: PlaceLimits | None = None,
    ) -> None:
        self.clock = HandClock()
        self.ledger = MemoryLedger()
        self.tally = Tally()
        self.upstreams = ScriptedUpstreams()
        self.servers = Servers(self.upstreams, self.clock, times or ListTimes(5.0, 5.0, 30.0))
        self.records = Records(self.ledger, self.clock, CountingEntropy(), self.tally.settled)
        self.refusals = Refusals(self.records, self.clock, self.tally)
        self.gate = Gate(gate or GateLimits(64, 512, 5.0))
        self.states = States(Seal(bytes(32)), self.clock, CountingEntropy())
        self.limiting = Limiting(self.clock)
        self.calls = Calls(
            self.servers, self.records, self.gate, CallTimes(timeout, 1800.0), self.states, self.limiting
        )
        self.lists = Lists(self.servers, self.records, (times or ListTimes()).wait)
        self.places = Places(places or PlaceLimits())
        self.snapshot = snapshot_of(*servers)
        self.conversations = Conversations(self.servers, self.places, lambda: self.snapshot)
        self.changes = Changes(self.lists, lambda: self.snapshot)
        self.conversations.watch = self.changes.watch_for
        self.servers.changed = lambda _: self.changes.note()
        self.watches = Watches(self.servers, self.clock)
        self.listening = Listening(
            self.servers, self.records, self.changes, self.watches, lambda: self.snapshot, 2
        )
        self.standing = StandingRequests(self.servers, self.calls, self.records, self.watches)
        self.apply(*servers)

    def apply(self, *servers: Server, access: Access = OPEN, policies: Policies = NO_POLICIES) -> None:
        epoch = self.snapshot.epoch + 1
        self.snapshot = snapshot_of(*servers, access=access, epoch=epoch, policies=policies)
        self.servers.apply(self.snapshot.servers)
        self.conversations.follow()
        self.changes.note()

    def converse(
        self, capabilities: bytes = b"{}", server: Server | None = SENTRY, principal: Principal | None = None
    ) -> tuple[Conversation, ScriptedVoice]:
        voice = ScriptedVoice()
        caller = replace(CALLER, capabilities=capabilities)
        who = principal or a_principal()
        return self.conversations.open(voice, caller, who, server), voice

    @property
    def entries(self) -> list[RecordEntry]:
        return self.ledger.entries

    def outcomes(self) -> list[Outcome | None]:
        return [entry.settlement.outcome if entry.settlement else None for entry in self.entries]

    async def perform(
        self,
        call: Call | None = None,
        server: Server = SENTRY,
        *,
        access: Access = OPEN,
        policies: Policies = NO_POLICIES,
        asked: Asked = ALICE,
        kind: Kind = Kind.TOOL,
        name: str = "find",
        shown: str | None = None,
        conversation: Conversation | None = None,
    ) -> Performed:
        shown = f"{server.name}__{name}" if shown is None else shown
        made = call or a_call(name)
        target = Target(kind, name)
        rules = Rules(access, policies)
        return await self.calls.perform(asked, rules, server, target, made, unheard, shown, conversation)

    async def list(
        self, method: str, snapshot: Snapshot, server: Server | None = None, asked: Asked = ALICE
    ) -> Reply:
        return await self.lists.list(asked, snapshot, server, KINDS[method])


async def settle_down(rounds: int = 20) -> None:
    """Let every task that can go on go on."""
    for _ in range(rounds):
        await asyncio.sleep(0)


def arguments_of(entries: list[RecordEntry]) -> Mapping[str, str]:
    return {entry.record.tool: entry.record.arguments for entry in entries}
