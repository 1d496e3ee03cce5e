"""`subscriptions/listen`: one stream on which a modern client hears what it asked for, as far as it may.

The gateway ends these streams itself: list changes come from what the caller is shown, updates of resources
from the servers that have them (MCP 2026-07-28, subscriptions).
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from typing import Final

from coatcheck.core.access.decide import decide, may_see
from coatcheck.core.wire import eras, messages
from coatcheck.errors import LedgerUnavailable
from coatcheck.model.access import Nature
from coatcheck.model.call import Call, Fault, Kind, Notice, Reply, Result, Target
from coatcheck.model.decision import Permit
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.hearing.changes import Changes
from coatcheck.operations.hearing.watches import LISTEN, Watches, listen_call
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Asked, Matter, Records
from coatcheck.ports import Notify

MAX_URIS: Final = 256
_LISTS: Final = {
    "toolsListChanged": "notifications/tools/list_changed",
    "promptsListChanged": "notifications/prompts/list_changed",
    "resourcesListChanged": "notifications/resources/list_changed",
}
"""Member of the filter -> its notification."""
_RESOURCES: Final = "resourceSubscriptions"
_RULE: Final = "(listen)"

Owner = Callable[[str], Awaitable[Server | None]]
"""URI -> the server that has it on the caller's route."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a client asks to hear of: members of the filter that are true, and URIs."""

    lists: frozenset[str]
    uris: Sequence[str]


def read_filter(call: Call) -> Wanted | Fault:
    """Read the filter of a listen request; unknown members are ignored, as later versions may add some."""
    members = messages.members_of(call.params.get("notifications", b""))
    if members is None:
        return _invalid("params.notifications must be an object")
    if any(members.get(name, b"false") not in {b"true", b"false"} for name in _LISTS):
        return _invalid("the list filters of params.notifications must be true or false")
    raw = messages.items_of(members.get(_RESOURCES, b"[]"))
    uris = [messages.text_of(one) for one in raw or []]
    if raw is None or len(uris) > MAX_URIS or None in uris:
        return _invalid(f"params.notifications.{_RESOURCES} must be a list of at most {MAX_URIS} URIs")
    plain = list(dict.fromkeys(uri for uri in uris if uri is not None))
    return Wanted(frozenset(name for name in _LISTS if members.get(name) == b"true"), plain)


def _invalid(message: str) -> Fault:
    return Fault(messages.INVALID_PARAMS, message)


class Listening:
    """Serves listen requests: `most` at once for each grant."""

    def __init__(
        self,
        servers: Servers,
        records: Records,
        changes: Changes,
        watches: Watches,
        snapshot: Callable[[], Snapshot],
        most: int,
    ) -> None:
        self._servers = servers
        self._records = records
        self._changes = changes
        self._watches = watches
        self._snapshot = snapshot
        self._most = most
        self._open: Counter[str] = Counter()
        self._ends: set[asyncio.Future[None]] = set()

    def stop(self) -> None:
        """End every stream as the protocol wants it: with the result of its request."""
        for end in self._ends:
            if not end.done():
                end.set_result(None)

    async def listen(
        self,
        asked: Asked,
        snapshot: Snapshot,
        server: Server | None,
        call: Call,
        owner: Owner,
        notify: Notify,
    ) -> Reply:
        """Send what the caller asked to hear of until it goes away, or until `stop`.

        Raises:
            LedgerUnavailable: the record could not be made durable.
            asyncio.CancelledError: the client went away, or the grant ended.
        """
        wanted = read_filter(call)
        matter = Matter(LISTEN, server.name if server else "")
        if isinstance(wanted, Fault):
            await self._records.close(
                asked, matter, Verdict.DENIED, "(request)", wanted.message, Outcome.DENIED
            )
            return wanted
        grant_id = asked.principal.grant_id
        if self._open[grant_id] >= self._most:
            sentence = f"More than {self._most} streams of this grant listen already: close some."
            await self._records.close(asked, matter, Verdict.DENIED, "(limit)", sentence, Outcome.DENIED)
            return Fault(messages.INTERNAL_ERROR, sentence)
        self._open[grant_id] += 1
        try:
            permits = await self._permits(asked, snapshot, wanted, owner)
            return await self._opened(asked, server, call, wanted, permits, notify)
        finally:
            self._open[grant_id] -= 1
            if not self._open[grant_id]:
                del self._open[grant_id]

    async def _permits(
        self, asked: Asked, snapshot: Snapshot, wanted: Wanted, owner: Owner
    ) -> Mapping[str, Permit]:
        """Return a permit for each resource that the caller may know of and its server can watch."""
        permits: dict[str, Permit] = {}
        scene = self._records.scene(asked)
        for uri in wanted.uris:
            server = await owner(uri)
            if server is None or not self._can_watch(server):
                continue
            target = Target(Kind.RESOURCE, uri)
            decision = decide(
                listen_call(uri), target, asked.principal, server, snapshot.rules, Nature.AMBIGUOUS, scene
            )
            if isinstance(decision, Permit):
                permits[uri] = decision
        return permits

    def _can_watch(self, server: Server) -> bool:
        catalogue = self._servers.of(server).catalogue
        if catalogue is None or catalogue.greeting.era is not Era.MODERN:
            return False
        resources = messages.members_of(catalogue.greeting.capabilities.get("resources", b"")) or {}
        return resources.get("subscribe") == b"true"

    async def _opened(
        self,
        asked: Asked,
        server: Server | None,
        call: Call,
        wanted: Wanted,
        permits: Mapping[str, Permit],
        notify: Notify,
    ) -> Reply:
        opened = await self._records.open(asked, Matter(LISTEN, server.name if server else ""), _RULE, "")
        heard = frozenset(name for name in wanted.lists if self._changes.announces(server, _LISTS[name]))
        mark = messages.object_of({eras.META_SUBSCRIPTION: call.id})
        honoured: dict[str, bytes] = dict.fromkeys(sorted(heard), b"true")
        if permits:
            honoured[_RESOURCES] = messages.raw_of(list(permits))
        acknowledged = {"notifications": messages.object_of(honoured), "_meta": mark}
        notify(Notice("notifications/subscriptions/acknowledged", messages.object_of(acknowledged)))

        def tell(notice: Notice) -> None:
            notify(_marked(notice, call.id))

        stopped: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._ends.add(stopped)
        try:
            with ExitStack() as ends:
                ends.callback(self._ends.discard, stopped)
                for permit in permits.values():
                    ends.callback(
                        self._watches.watch(permit, asked.caller, self._while_allowed(permit, tell))
                    )
                if heard:
                    methods = frozenset(_LISTS[name] for name in heard)
                    watch = self._changes.watch(asked.principal, server, None, methods, tell)
                    ends.callback(self._changes.end, watch)
                await stopped
        except BaseException as end:
            await self._records.abandon(opened, end)
            raise
        with suppress(LedgerUnavailable):  # nothing was called: the client may know that the stream is over
            await self._records.settle(opened, Outcome.OK)
        return Result(messages.object_of({"_meta": mark}))

    def _while_allowed(self, permit: Permit, tell: Notify) -> Notify:
        """Return what passes updates of a resource on while the rules in force let the caller know of it."""

        def tell_if_allowed(notice: Notice) -> None:
            snapshot = self._snapshot()
            server = snapshot.by_id.get(permit.server.id)
            if server is not None and may_see(
                permit.target, permit.principal, server, snapshot.rules, Nature.AMBIGUOUS
            ):
                tell(notice)

        return tell_if_allowed


def _marked(notice: Notice, id: bytes) -> Notice:
    """Return a notification with the id of the listen request in its `_meta`, as all on its stream have."""
    members = messages.members_of(notice.params) or {}
    meta = messages.members_of(members.get("_meta", b"{}")) or {}
    members["_meta"] = messages.object_of({**meta, eras.META_SUBSCRIPTION: id})
    return Notice(notice.method, messages.object_of(members))
