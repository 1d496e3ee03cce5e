"""Telling those who watch lists that what they see changed: after a notice, an edit or another asking.

A watcher is told of its own view only: a change among what is hidden from it changes nothing for it.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping
from typing import Final

from coatcheck.core.wire import messages
from coatcheck.model.call import Notice
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.lists import KINDS, Lists, View
from coatcheck.operations.reaching.conversation import Conversation
from coatcheck.operations.reaching.served import Served

LISTS: Final[Mapping[str, tuple[str, ...]]] = {
    "notifications/tools/list_changed": ("tools/list",),
    "notifications/prompts/list_changed": ("prompts/list",),
    "notifications/resources/list_changed": ("resources/list", "resources/templates/list"),
}
"""Notification -> the lists that it is about."""

_ROUND: Final = 50
"""Watchers looked at before others get their turn: there may be thousands."""

Tell = Callable[[Notice], None]


class Watch:
    """One watcher: what it was last shown, by notification, and which servers it listens to."""

    def __init__(
        self,
        principal: Principal,
        server: Server | None,
        conversation: Conversation | None,
        wanted: frozenset[str],
        tell: Tell,
    ) -> None:
        self._principal = principal
        self.server = server
        self.conversation = conversation
        self.wanted = wanted
        self.tell = tell
        self.seen: dict[str, bytes] = {}
        self.attended: set[Served] = set()

    @property
    def principal(self) -> Principal:
        """Who watches, as of now."""
        return self.conversation.principal if self.conversation is not None else self._principal


class Changes:
    """All watchers. `note` says that something changed; they are told soon after."""

    def __init__(self, lists: Lists, snapshot: Callable[[], Snapshot]) -> None:
        self._lists = lists
        self._snapshot = snapshot
        self._watches: dict[Watch, None] = {}
        self._looking: asyncio.Task[None] | None = None
        self._again = False

    def __len__(self) -> int:
        return len(self._watches)

    def watch(
        self,
        principal: Principal,
        server: Server | None,
        conversation: Conversation | None,
        wanted: frozenset[str],
        tell: Tell,
    ) -> Watch:
        """Tell `tell` of changes of the lists `wanted`, named by their notifications; `end` ends it."""
        watch = Watch(principal, server, conversation, wanted, tell)
        self._watches[watch] = None
        self._attend(watch)
        watch.seen = self._shown(watch)
        return watch

    def watch_for(self, conversation: Conversation) -> Callable[[], None]:
        """Tell a legacy client of the changes that were announced to it; returns what ends that."""
        wanted = frozenset(method for method in LISTS if self.announces(conversation.server, method))
        tell = conversation.voice.tell
        watch = self.watch(conversation.principal, conversation.server, conversation, wanted, tell)
        return lambda: self.end(watch)

    def announces(self, server: Server | None, method: str) -> bool:
        """Tell whether we say that a notification is sent; on the route of all servers we always do."""
        if server is None:
            return True
        served = self._lists.find(server, None)
        known = served.catalogue if served else None
        capability = method.split("/")[1]
        raw = known.greeting.capabilities.get(capability, b"") if known else b""
        return (messages.members_of(raw) or {}).get("listChanged") == b"true"

    def end(self, watch: Watch) -> None:
        """Stop telling a watcher."""
        if watch in self._watches:
            del self._watches[watch]
            for served in watch.attended:
                served.neglect()

    def note(self) -> None:
        """Look, soon, at what every watcher is shown now. Cheap: called for each change."""
        if not self._watches:
            return
        if self._looking is not None and not self._looking.done():
            self._again = True
            return
        self._looking = asyncio.get_running_loop().create_task(self._look())

    async def _look(self) -> None:
        self._again = True
        while self._again:
            self._again = False
            for number, watch in enumerate(list(self._watches)):
                if watch in self._watches:
                    self._look_at(watch)
                if number % _ROUND == _ROUND - 1:
                    await asyncio.sleep(0)

    def _look_at(self, watch: Watch) -> None:
        self._attend(watch)
        shown = self._shown(watch)
        changed = [method for method, digest in shown.items() if watch.seen.get(method, digest) != digest]
        watch.seen |= shown
        for method in changed:
            if watch.conversation is None or not watch.conversation.listed_methods.isdisjoint(LISTS[method]):
                watch.tell(Notice(method, b"{}"))

    def _attend(self, watch: Watch) -> None:
        """Listen to the servers that the watcher is shown now, and no more to others."""
        current = set(self._lists.served(watch.principal, self._view(watch)))
        for served in current - watch.attended:
            served.attend()
        for served in watch.attended - current:
            served.neglect()
        watch.attended = current

    def _shown(self, watch: Watch) -> dict[str, bytes]:
        """Return a digest of what each notification is about; nothing for a server never heard from."""
        view = self._view(watch)
        if view.server is not None and not any(served.catalogue for served in watch.attended):
            return {}
        return {
            method: hashlib.blake2b(
                b"\n".join(self._lists.shown(watch.principal, view, KINDS[one]) for one in LISTS[method]),
                digest_size=16,
            ).digest()
            for method in watch.wanted
        }

    def _view(self, watch: Watch) -> View:
        """Return where the watcher looks from now; its server may have been edited or taken away."""
        snapshot = self._snapshot()
        if watch.server is None:
            return View(snapshot, None, watch.conversation)
        return View(snapshot, snapshot.by_id.get(watch.server.id, watch.server), watch.conversation)
