"""Requests of legacy clients whose effect lasts as long as their session: the log level, subscriptions."""

from __future__ import annotations

from typing import Final

from coatcheck.core.access.decide import decide
from coatcheck.core.wire import messages
from coatcheck.core.wire.standing import SUBSCRIBE
from coatcheck.errors import UpstreamError
from coatcheck.model.access import Nature
from coatcheck.model.call import Call, Fault, Kind, Notice, Reply, Result, Target
from coatcheck.model.decision import Denial
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.calling.call import Calls, refusal_of
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.hearing.watches import Watches, listen_call
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Asked, Matter, Records

MAX_SUBSCRIPTIONS: Final = 256
_DONE: Final = Result(b"{}")
_TOO_MANY: Final = Fault(
    messages.INVALID_REQUEST, f"More than {MAX_SUBSCRIPTIONS} subscriptions in one session: end some first."
)


class StandingRequests:
    """Takes them to the servers that they concern, and keeps what has to be kept here."""

    def __init__(self, servers: Servers, calls: Calls, records: Records, watches: Watches) -> None:
        self._servers = servers
        self._calls = calls
        self._records = records
        self._watches = watches

    async def set_level(
        self,
        asked: Asked,
        snapshot: Snapshot,
        conversation: Conversation,
        server: Server | None,
        call: Call,
        level: str,
    ) -> Reply:
        """Want log messages from `level` on: of one server, or of all that this client talks to by itself.

        Those it shares with others are not set: their messages are sifted when they come.
        """
        conversation.set_level(level)
        if server is not None:
            if not await self._has_sessions(server):
                return _DONE  # the level goes with each request instead
            conversation.claim(server)
            return await self._perform(asked, snapshot, conversation, server, Target(Kind.SERVER, ""), call)
        for own in conversation.own():
            if own.catalogue is not None and "logging" in own.catalogue.greeting.capabilities:
                whole = Target(Kind.SERVER, "")
                await self._perform(asked, snapshot, conversation, own.server, whole, call)
        return _DONE

    async def subscribe(
        self,
        asked: Asked,
        snapshot: Snapshot,
        conversation: Conversation,
        server: Server,
        call: Call,
        uri: str,
    ) -> Reply:
        """Subscribe to a resource, or end that."""
        begins = call.method == SUBSCRIBE
        target = Target(Kind.RESOURCE, uri)
        if begins and conversation.watched >= MAX_SUBSCRIPTIONS:
            return _TOO_MANY
        if await self._has_sessions(server):
            if begins and conversation.may_watch(server, uri):
                conversation.claim(server)
            reply = await self._perform(asked, snapshot, conversation, server, target, call)
            if isinstance(reply, Result):
                conversation.note_watch(server, uri, _nothing if begins else None)
            return reply
        return await self._watch(asked, snapshot, conversation, server, call, uri)

    async def _watch(
        self,
        asked: Asked,
        snapshot: Snapshot,
        conversation: Conversation,
        server: Server,
        call: Call,
        uri: str,
    ) -> Reply:
        """Subscribe at a server that has no sessions: its updates come on a stream of ours."""
        target = Target(Kind.RESOURCE, uri)
        matter = Matter(call.method, server.name, uri)
        rules, scene = snapshot.rules, self._records.scene(asked)
        decision = decide(listen_call(uri), target, asked.principal, server, rules, Nature.AMBIGUOUS, scene)
        rule, because, basis = decision.rule, decision.because, decision.basis
        if isinstance(decision, Denial):
            verdict = Verdict.DENIED if decision.visible else Verdict.HIDDEN
            told = decision.message if decision.visible else ""
            await self._records.close(asked, matter, verdict, rule, because, Outcome.DENIED, basis, told)
            return refusal_of(decision, call.method, target, uri)
        await self._records.close(asked, matter, Verdict.ALLOWED, rule, because, Outcome.OK, basis)
        if call.method != SUBSCRIBE:
            conversation.note_watch(server, uri, None)
            return _DONE

        def updated(notice: Notice) -> None:
            conversation.told(server, notice)

        conversation.note_watch(server, uri, self._watches.watch(decision, asked.caller, updated))
        return _DONE

    async def _has_sessions(self, server: Server) -> bool:
        try:
            return (await self._servers.of(server).known()).greeting.speaks_legacy
        except UpstreamError:
            return True  # the call will fail, and say why

    async def _perform(
        self,
        asked: Asked,
        snapshot: Snapshot,
        conversation: Conversation,
        server: Server,
        target: Target,
        call: Call,
    ) -> Reply:
        def told(notice: Notice) -> None:
            # What is said meanwhile is as if said unasked: there is nothing in it that asked for more.
            conversation.told(server, notice)

        performed = await self._calls.perform(
            asked, snapshot.rules, server, target, call, told, target.name, conversation
        )
        return performed.reply


def _nothing() -> None:
    """End a watch that the server's session ends."""
