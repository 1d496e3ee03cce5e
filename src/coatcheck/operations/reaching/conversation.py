"""What one legacy session keeps at servers: an upstream of its own where the server may ask it something.

A server can ask for sampling, elicitation and roots, sends log messages and says which resources changed:
none of that could be told apart on a session that callers share. So whoever declares that it can be asked,
sets a log level or subscribes gets sessions of its own; everyone else shares (MCP 2025-11-25, lifecycle).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from coatcheck.core.access.decide import may_see
from coatcheck.core.wire import levels, messages
from coatcheck.core.wire.standing import Standing
from coatcheck.errors import UpstreamError
from coatcheck.model.access import Nature
from coatcheck.model.call import Caller, Fault, Kind, Notice, Question, Reply, Target
from coatcheck.model.era import Era
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.operations.calling.patience import Patience
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.reaching.likeness import same_but_filled
from coatcheck.operations.reaching.places import Places
from coatcheck.operations.reaching.served import LIST_CHANGED, Served
from coatcheck.operations.reaching.servers import Servers
from coatcheck.ports import Voice

KEEP_SECONDS: Final = 600.0
UPDATED: Final = "notifications/resources/updated"
_CAPABILITY: Final = {
    "sampling/createMessage": "sampling",
    "elicitation/create": "elicitation",
    "roots/list": "roots",
}
"""What a server may ask a client -> the capability that the client must have declared."""
_RELAYED: Final = frozenset({"notifications/roots/list_changed", "notifications/progress"})
"""What a client may tell a server; the rest is about its session with us."""
_TOLD: Final = frozenset({levels.MESSAGE, UPDATED, "notifications/elicitation/complete"})
_NOT_OFFERED: Final = Fault(messages.METHOD_NOT_FOUND, "Method not found")


class Conversation:
    """One session's side of things. `server` None: it is with all in reach, not with one."""

    def __init__(
        self,
        among: Conversations,
        voice: Voice,
        caller: Caller,
        principal: Principal,
        server: Server | None,
    ) -> None:
        self.caller = caller
        self.principal = principal
        self.voice = voice
        self.server = server
        self.seen: dict[str, bytes] = {}
        """Method -> digest of each list that the client asked for, as it was last shown it or told of it."""
        self._among = among
        self._servers = among.servers
        self._places = among.places
        self._snapshot = among.snapshot
        declared = messages.members_of(caller.capabilities) or {}
        self._declared = frozenset(declared) & frozenset(_CAPABILITY.values())
        self._own: dict[UUID, Served] = {}
        self._kept: dict[UUID, asyncio.TimerHandle] = {}
        """Own sessions that go on with a credential of before, and what ends that."""
        self._sides: dict[UUID, Side] = {}
        self._claimed: set[UUID] = set()
        self._watched: dict[tuple[UUID, str], Callable[[], None]] = {}
        self._end_attending: Callable[[], None] | None = None
        self._waiting: dict[tuple[UUID, bytes], Patience] = {}
        self._closed = False

    # --- which upstream ------------------------------------------------------------------------------------

    def of(self, server: Server) -> Served:
        """Return the server to use for this client: its own session there if it needs one, else the shared.

        Raises:
            UpstreamUnreachable: an edit took the server away meanwhile.
            Busy: there is no place for another child of this client's own.
        """
        server = self._snapshot().by_id.get(server.id, server)  # a call may be older than an edit
        own = self._own.get(server.id)
        if own is not None and self._still_good(own, server) and not self._proved_useless(own):
            self._places.touch(self, server)
            return own
        shared = self._servers.of(server)
        if own is not None:
            self._drop(server.id)  # an edit changed the server: a new session takes over what stands
        if not self._needs_own(server, shared):
            return shared
        self._places.take(self, server)
        side = self._sides.setdefault(server.id, Side(self, server))
        side.server = server
        own = self._own[server.id] = self._servers.open_own(server, side)
        return own

    def listed(self, server: Server) -> Served:
        """Return the server whose lists to show: among many, no child is started for a list alone."""
        if self.server is not None or server.id in self._own:
            return self.of(server)
        return self._servers.of(server)

    def claim(self, server: Server) -> None:
        """Use a session of this client's own with a server from now on."""
        self._claimed.add(server.id)

    def renew(self, served: Served) -> bool:
        """Let go of this client's own session whose credential was refused, if another is in force by now.

        Tells whether something else is in use from now on.
        """
        server = served.server
        if self._own.get(server.id) is not served:
            return self._servers.renew(served)
        current = self._snapshot().by_id.get(server.id)
        if current is None or current == server:
            return False
        self._drop(server.id)
        return True

    def _still_good(self, own: Served, server: Server) -> bool:
        """Tell whether this client's own session goes on: also for a while where only material changed."""
        return own.server == server or (server.id in self._kept and same_but_filled(own.server, server))

    def _needs_own(self, server: Server, shared: Served) -> bool:
        if self._closed or not (self._declared or server.id in self._claimed):
            return False
        return shared.kin not in self._among.without_sessions

    def _proved_useless(self, own: Served) -> bool:
        """Tell whether a server turned out to have no sessions: it was asked for one, and none was to be had.

        What it names in `server/discover` proves nothing: the official Python SDK serves both eras and names
        one.
        """
        if own.heard is None or own.heard.era is Era.LEGACY:
            return False
        self._among.without_sessions.add(self._servers.of(own.server).kin)
        return True

    def own(self) -> list[Served]:
        """Return the sessions that are this client's own."""
        return list(self._own.values())

    def is_idle(self, server_id: UUID) -> bool:
        """Tell whether this client's own session with a server could be ended without loss."""
        own = self._own.get(server_id)
        return own is None or not (
            own.upstream.status().in_flight or self._sides[server_id].standing.watching
        )

    def follow(self) -> None:
        """Let go of servers that an edit changed or took away."""
        current = self._snapshot().by_id
        for id, own in list(self._own.items()):
            server = current.get(id)
            if server == own.server:
                self._end_keeping(id)
            elif server is not None and same_but_filled(own.server, server):
                self._keep(id)
            else:
                self._drop(id)

    def _keep(self, server_id: UUID) -> None:
        """Go on with a session whose credential was changed, since its server may keep state for it."""
        if server_id not in self._kept:
            loop = asyncio.get_running_loop()
            self._kept[server_id] = loop.call_later(self._among.keep_seconds, self._drop, server_id)

    def _end_keeping(self, server_id: UUID) -> None:
        timer = self._kept.pop(server_id, None)
        if timer is not None:
            timer.cancel()

    def end_own(self, server_id: UUID) -> None:
        """Let go of one server; the next use begins anew."""
        self._drop(server_id)

    def _drop(self, server_id: UUID) -> None:
        self._end_keeping(server_id)
        own = self._own.pop(server_id, None)
        if own is not None:
            self._places.leave(self, own.server)
            self._servers.retire(own)

    def kill(self) -> None:
        """End the children that are this client's own at once; `close` follows."""
        for own in self._own.values():
            own.kill()

    async def close(self) -> None:
        """Let go of everything: the session is over."""
        self._closed = True
        self._among.forget(self)
        self.attend(wanted=False)
        for end in self._watched.values():
            end()
        self._watched.clear()
        for id in list(self._kept):
            self._end_keeping(id)
        owned = list(self._own.values())
        self._own.clear()
        for own in owned:
            self._places.leave(self, own.server)
        await asyncio.gather(*(self._servers.let_go(own, 0.0) for own in owned), return_exceptions=True)

    # --- what the client says ------------------------------------------------------------------------------

    def set_level(self, level: str) -> None:
        """Want log messages of this level and above, from every server."""
        self.caller = self.caller.with_level(level)

    def attend(self, wanted: bool) -> None:
        """Begin or end to tell the client of lists that changed: it has a stream for what it did not ask."""
        if wanted and self._end_attending is None and not self._closed:
            self._end_attending = self._among.watch(self)
        elif not wanted and self._end_attending is not None:
            self._end_attending()
            self._end_attending = None

    @property
    def watched(self) -> int:
        """How many subscriptions there are."""
        return len(self._watched)

    def note_watch(self, server: Server, uri: str, end: Callable[[], None] | None) -> None:
        """Take note of a subscription and how it is ended; None: it is over."""
        before = self._watched.pop((server.id, uri), None)
        if before is not None:
            before()
        if end is not None and not self._closed:
            self._watched[server.id, uri] = end
        elif end is not None:
            end()

    async def relay(self, notice: Notice) -> None:
        """Pass on a notification to the servers that this client has sessions of its own with."""
        if notice.method not in _RELAYED:
            return
        for own in list(self._own.values()):
            try:
                await own.upstream.relay(notice)
            except UpstreamError:
                continue  # it will be asked, and fail, when it is used again

    # --- patience ------------------------------------------------------------------------------------------

    @contextmanager
    def waiting(self, server: Server, call_id: bytes, patience: Patience) -> Iterator[None]:
        """Have the time that the client takes to answer not count for a call, while the block runs."""
        key = (server.id, call_id)
        self._waiting[key] = patience
        try:
            yield
        finally:
            if self._waiting.get(key) is patience:
                del self._waiting[key]

    @contextmanager
    def _held(self, server: Server, within: bytes | None) -> Iterator[None]:
        held = [
            patience
            for (id, call_id), patience in self._waiting.items()
            if id == server.id and within in {None, call_id}
        ]
        for patience in held:
            patience.hold()
        try:
            yield
        finally:
            for patience in held:
                patience.release()

    # --- what a server says --------------------------------------------------------------------------------

    async def asked(self, server: Server, question: Question, within: bytes | None) -> Reply:
        """Put a server's question to the client, if the client declared that it takes such questions."""
        if _CAPABILITY.get(question.method) not in self._declared:
            return _NOT_OFFERED
        with self._held(server, within):
            return await self.voice.ask(self._signed(server, question), within)

    def _signed(self, server: Server, question: Question) -> Question:
        """Say which server asks, where the client cannot tell: a person must know whom an answer goes to."""
        members = messages.members_of(question.params)
        said = messages.text_of(members.get("message")) if members else None
        if (
            self.server is not None
            or question.method != "elicitation/create"
            or members is None
            or said is None
        ):
            return question
        members["message"] = messages.raw_of(f"[{server.name}] {said}")
        return Question(question.method, messages.object_of(members))

    def told(self, server: Server, notice: Notice) -> None:
        """Pass on what concerns the client and what it may know."""
        if notice.method in LIST_CHANGED:
            own = self._own.get(server.id)
            if own is not None:
                own.hear(notice)
        elif self._concerns(server, notice):
            self.voice.tell(notice)

    def _concerns(self, server: Server, notice: Notice) -> bool:
        if notice.method == UPDATED:
            uri = messages.text_of((messages.members_of(notice.params) or {}).get("uri"))
            return uri is not None and self.may_watch(server, uri)
        if notice.method == levels.MESSAGE and self.caller.log_level:
            return levels.passes(notice, self.caller.log_level)
        return notice.method in _TOLD or self.server is not None

    def may_watch(self, server: Server, uri: str) -> bool:
        """Tell whether the client may know of a resource, by the rules in force now."""
        snapshot = self._snapshot()
        current = snapshot.by_id.get(server.id)
        target = Target(Kind.RESOURCE, uri)
        return current is not None and may_see(
            target, self.principal, current, snapshot.rules, Nature.AMBIGUOUS
        )


class Side:
    """One conversation as the client of one server; implements `ports.Client`."""

    era = Era.LEGACY

    def __init__(self, conversation: Conversation, server: Server) -> None:
        self.server = server
        self.standing = Standing()
        self._conversation = conversation

    @property
    def version(self) -> str:
        """The version that the client speaks."""
        return self._conversation.caller.version

    @property
    def capabilities(self) -> bytes:
        """What the client declared."""
        return self._conversation.caller.capabilities

    async def ask(self, question: Question, within: bytes | None) -> Reply:
        """Ask the client."""
        return await self._conversation.asked(self.server, question, within)

    def tell(self, notice: Notice) -> None:
        """Tell the client."""
        self._conversation.told(self.server, notice)

    def pause(self, within: bytes, retry: int | None) -> None:
        """Let the client go and come back for the rest."""
        self._conversation.voice.pause(within, retry)


class Conversations:
    """All conversations that are open. `watch` begins to tell one of list changes, and returns its end."""

    def __init__(self, servers: Servers, places: Places, snapshot: Callable[[], Snapshot]) -> None:
        self.servers = servers
        self.places = places
        self.snapshot = snapshot
        self.watch: Callable[[Conversation], Callable[[], None]] = _unwatched
        self.keep_seconds = KEEP_SECONDS
        """How long a session of one client's own goes on after the credential of its server was changed."""
        self.without_sessions: set[int] = set()
        """Servers that turned out to have no sessions, by the `kin` of the shared one."""
        self._open: set[Conversation] = set()

    def __len__(self) -> int:
        return len(self._open)

    def open(self, voice: Voice, caller: Caller, principal: Principal, server: Server | None) -> Conversation:
        """Begin a conversation; it ends when it is closed."""
        begun = Conversation(self, voice, caller, principal, server)
        self._open.add(begun)
        return begun

    def forget(self, conversation: Conversation) -> None:
        """Take note that a conversation was closed."""
        self._open.discard(conversation)

    def follow(self) -> None:
        """Bring all of them in line with the snapshot in force."""
        for conversation in self._open:
            conversation.follow()


def _unwatched(conversation: Conversation) -> Callable[[], None]:  # noqa: ARG001 - nobody watches
    return lambda: None
