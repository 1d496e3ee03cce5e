"""Sessions of legacy clients: opened by `initialize`, bound to a grant and a route, bounded."""

from __future__ import annotations

import asyncio
import base64
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Final, Protocol
from uuid import UUID

from coatcheck.core.wire import messages
from coatcheck.errors import UpstreamError
from coatcheck.mcp.legacy.streams import EventLimits, Stream, Streams
from coatcheck.mcp.legacy.voices import Outward, SessionVoice
from coatcheck.mcp.outlets import Outlet, StandingWay
from coatcheck.model.call import Caller, Notice
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.operations.inflight import Cut, Entry
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.ports import Clock, Entropy, Voice

_ID_BYTES: Final = 24
CLOSE_SECONDS: Final = 10.0
"""Seconds that a conversation may take to let go of its servers."""
RELAY_SECONDS: Final = 30.0
MAX_NOTICES: Final = 64
"""Notifications of one client that may wait to be passed on."""
PRIMING_VERSION: Final = LEGACY_VERSIONS[0]
"""The first version whose clients take events without data (MCP 2025-11-25, SEP-1699)."""
UNOPENED: Final = Caller(Era.LEGACY, "")
"""The caller of a session before its `initialize`."""


class OpenConversation(Protocol):
    """Begins what a session has at servers. `server` None: its route is all of them."""

    def __call__(
        self, voice: Voice, caller: Caller, principal: Principal, server: Server | None
    ) -> Conversation:
        """Return what was begun, which is closed with the session."""
        ...


@dataclass(frozen=True, slots=True)
class SessionLimits:
    """Sessions per grant, in all, and seconds without a request after which one ends; events kept of each."""

    per_grant: int = 64
    total: int = 10_000
    idle: float = 1800.0
    events: EventLimits = field(default_factory=EventLimits)


@dataclass(eq=False, slots=True)
class Session:
    """One legacy client's session. `under_way` maps request ids as sent to requests being answered.

    `conversation` is None until `initialize`; `stray` counts replies to what nobody asked.
    """

    id: str
    principal: Principal
    route: str
    used: float
    voice: SessionVoice
    caller: Caller = UNOPENED
    conversation: Conversation | None = None
    under_way: dict[bytes, Entry] = field(default_factory=dict)
    ended: bool = False
    stray: int = 0
    _relaying: asyncio.Lock = field(default_factory=asyncio.Lock)
    _notices: int = 0

    @property
    def grant_id(self) -> str:
        """The grant that the session belongs to."""
        return self.principal.grant_id

    def renew(self, principal: Principal) -> None:
        """Take over what the grant, or the proxy, says now of who the client is."""
        if principal == self.principal:
            return
        self.principal = principal
        if self.conversation is not None:
            self.conversation.principal = principal

    @property
    def server_id(self) -> UUID | None:
        """The server of the session's route; None: the route of all, or it was not opened yet."""
        server = self.conversation.server if self.conversation is not None else None
        return server.id if server is not None else None

    @property
    def busy(self) -> bool:
        """Whether a request is being answered or the client listens."""
        return bool(self.under_way) or self.voice.listening

    # --- requests ---

    def enter(self, request_id: bytes, entry: Entry, way: Outward) -> None:
        """Note a request under way, and where it is answered."""
        self.under_way[request_id] = entry
        self.voice.enter(request_id, way)

    def leave(self, request_id: bytes, entry: Entry, way: Outward) -> None:
        """Forget a request that ended; a later one of the same id is left alone."""
        if self.under_way.get(request_id) is entry:
            del self.under_way[request_id]
        self.voice.leave(request_id, way)

    def cancel(self, request_id: bytes) -> None:
        """Cancel a request of this session; one that ended or never was is ignored, as the protocol says."""
        entry = self.under_way.get(request_id)
        if entry is not None:
            entry.cancel(Cut.CANCELLED)

    # --- the stream that belongs to no request ---

    def listen(self, outlet: Outlet) -> Stream:
        """Open the client's stream on a response."""
        stream = self.voice.listen(outlet)
        self._attend()
        return stream

    def resume(self, stream: Stream, after: int, outlet: Outlet) -> bool:
        """Go on with a stream on another response; return whether it belongs to no request."""
        standing = self.voice.resume(stream, after, outlet)
        self._attend()
        return standing

    def let_go(self, stream: Stream, outlet: Outlet) -> None:
        """Note that a response ended."""
        stream.leave(outlet)
        self._attend()

    def _attend(self) -> None:
        if self.conversation is not None and not self.ended:
            self.conversation.attend(self.voice.listening)

    # --- what owes no answer ---

    def hear(self, reply: messages.CallerReply) -> None:
        """Take a reply to a question of ours; one that nobody waits for is counted."""
        if not self.voice.take(reply):
            self.stray += 1

    async def relay(self, notice: messages.CallerNotice) -> None:
        """Pass on a notification of the client's, after those that came before it."""
        if self.conversation is None or self._notices >= MAX_NOTICES:
            return
        self._notices += 1
        try:
            async with asyncio.timeout(RELAY_SECONDS), self._relaying:
                await self.conversation.relay(Notice(notice.method, messages.object_of(notice.params)))
        except (TimeoutError, UpstreamError):
            return  # nobody is owed an answer
        finally:
            self._notices -= 1


class Sessions:
    """All sessions, least recently used first."""

    def __init__(
        self, clock: Clock, entropy: Entropy, limits: SessionLimits, open_conversation: OpenConversation
    ) -> None:
        self._clock = clock
        self._entropy = entropy
        self._limits = limits
        self._open_conversation = open_conversation
        self._sessions: OrderedDict[str, Session] = OrderedDict()
        self._per_grant: dict[str, OrderedDict[str, None]] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def __len__(self) -> int:
        return len(self._sessions)

    def open(self, principal: Principal, route: str, standing: StandingWay | None = None) -> Session:
        """Open a session. Over a limit, the least recently used one of the grant, or of all, is ended.

        `standing`: the one stream of a transport that has no others.
        """
        self._end_idle()
        id = base64.urlsafe_b64encode(self._entropy.token(_ID_BYTES)).decode("ascii")
        now = self._clock.monotonic()
        voice = SessionVoice(Streams(self._limits.events, self._clock.monotonic), standing)
        session = Session(id, principal, route, now, voice)
        of_grant = self._per_grant.setdefault(principal.grant_id, OrderedDict())
        if len(of_grant) >= self._limits.per_grant:
            self._end(self._least_used(of_grant))
        elif len(self._sessions) >= self._limits.total:
            self._end(self._least_used(self._sessions))
        self._sessions[id] = session
        self._per_grant.setdefault(principal.grant_id, of_grant)[id] = None
        return session

    def begin(self, session: Session, caller: Caller, server: Server | None) -> None:
        """Begin what the session's client has at servers; what it had before ends."""
        if session.ended:
            return
        before = session.conversation
        session.caller = caller
        session.voice.streams.primes = caller.version == PRIMING_VERSION
        session.conversation = self._open_conversation(session.voice, caller, session.principal, server)
        if before is not None:
            self._close(before)
        if session.voice.listening:
            session.conversation.attend(True)

    def find(self, id: str, grant_id: str, route: str) -> Session | None:
        """Return the session, if it lives and belongs to this grant and route."""
        session = self._sessions.get(id)
        if session is None or session.grant_id != grant_id or session.route != route:
            return None
        if self._is_idle(session):
            self._end(id)
            return None
        self._touch(session)
        return session

    def end(self, id: str, grant_id: str, route: str) -> None:
        """End a session of this grant; another's or an unknown one is left alone."""
        if self.find(id, grant_id, route) is not None:
            self._end(id)

    def count_of(self, grant_ids: frozenset[str]) -> int:
        """Return how many sessions grants have."""
        return sum(len(self._per_grant.get(grant_id, ())) for grant_id in grant_ids)

    def end_grants(self, grant_ids: frozenset[str]) -> list[asyncio.Task[None]]:
        """End every session of grants that ended; return what ends when each has let go of its servers."""
        ids = [id for grant_id in grant_ids for id in self._per_grant.get(grant_id, ())]
        for conversation in [self._sessions[id].conversation for id in ids]:
            if conversation is not None:
                conversation.kill()
        return [self._end(id) for id in ids]

    def end_routes(self, server_ids: frozenset[UUID]) -> list[asyncio.Task[None]]:
        """End every session on the route of one of these servers. Returns as `end_grants` does."""
        ids = [id for id, session in self._sessions.items() if session.server_id in server_ids]
        return [self._end(id) for id in ids]

    def sweep(self) -> None:
        """End what is idle and forget events that nobody comes back for. To be called now and then."""
        for session in list(self._sessions.values()):
            if session.busy:
                self._touch(session)
            session.voice.streams.sweep()
        self._end_idle()

    async def drain(self) -> None:
        """End every session and wait, for a bounded time, until all have let go of their servers."""
        for id in list(self._sessions):
            self._end(id)
        while self._closing:
            await asyncio.wait(self._closing)

    # --- use ---

    def _is_idle(self, session: Session) -> bool:
        return self._clock.monotonic() - session.used > self._limits.idle and not session.busy

    def _touch(self, session: Session) -> None:
        session.used = self._clock.monotonic()
        self._sessions.move_to_end(session.id)
        self._per_grant[session.grant_id].move_to_end(session.id)

    def _least_used(self, ids: OrderedDict[str, Session] | OrderedDict[str, None]) -> str:
        return next((id for id in ids if not self._sessions[id].busy), next(iter(ids)))

    def _end_idle(self) -> None:
        """End what was idle too long. Those used last stand last, so the search is short."""
        oldest = self._clock.monotonic() - self._limits.idle
        while self._sessions:
            session = next(iter(self._sessions.values()))
            if session.used >= oldest:
                return
            if session.busy:
                self._touch(session)
            else:
                self._end(session.id)

    def _end(self, id: str) -> asyncio.Task[None]:
        session = self._sessions.pop(id)
        of_grant = self._per_grant[session.grant_id]
        del of_grant[id]
        if not of_grant:
            del self._per_grant[session.grant_id]
        session.ended = True
        for entry in list(session.under_way.values()):
            entry.cancel(Cut.CANCELLED)
        session.voice.close()
        return self._close(session.conversation)

    def _close(self, conversation: Conversation | None) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(_let_go(conversation))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)
        return task


async def _let_go(conversation: Conversation | None) -> None:
    if conversation is None:
        return  # `initialize` never came
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await conversation.close()
    except (TimeoutError, UpstreamError):
        return  # its servers end such things themselves
