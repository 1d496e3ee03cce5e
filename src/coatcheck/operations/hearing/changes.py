"""Telling those who watch lists that what they see changed: after a notice, an edit or another asking.

A watcher is told of its own view only: a change among what is hidden from it changes nothing for it. What is
visible depends on no time, address or argument, so nothing changes but by a notice, an edit or an asking.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Final

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
_PAUSE: Final = 0.1
"""Seconds between two looks at all watchers: what is published meanwhile is looked at together."""

Tell = Callable[[Notice], None]


class Watch:
    """One watcher: the digests of what it was last shown, by list, and which servers it listens to.

    A legacy session is told of lists that it asked for, also if they changed while it had no stream.
    """

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
        self.seen: dict[str, bytes] = {} if conversation is None else conversation.seen
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
        self._look_at(watch)
        return watch

    def watch_for(self, conversation: Conversation) -> Callable[[], None]:
        """Tell a legacy client of the changes that were announced to it; returns what ends that."""
        wanted = frozenset(method for method in LISTS if self.announces(conversation.server, method))
        tell = conversation.voice.tell
        watch = self.watch(conversation.principal, conversation.server, conversation, wanted, tell)
        return lambda: self.end(watch)

    def announces(self, server: Server | None, method: str) -> bool:
        """Tell whether we say that a notification is sent: wherever there are such lists.

        Of a server that never says that its lists change they still do for those whom an edit shows others.
        """
        if server is None:
            return True
        served = self._lists.find(server, None)
        known = served.catalogue if served else None
        return known is not None and method.split("/")[1] in known.greeting.capabilities

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
            joined = self._lists.joined
            for number, watch in enumerate(list(self._watches)):
                if watch in self._watches:
                    self._look_at(watch)
                if joined != self._lists.joined or number % _ROUND == _ROUND - 1:
                    joined = self._lists.joined
                    await asyncio.sleep(0)
            await asyncio.sleep(_PAUSE)

    def _look_at(self, watch: Watch) -> None:
        self._attend(watch)
        view = self._view(watch)
        if view.server is not None and not any(served.catalogue for served in watch.attended):
            return  # it was never heard from
        for notification in watch.wanted:
            changed = [method for method in LISTS[notification] if self._is_news(watch, view, method)]
            if changed:
                watch.tell(Notice(notification, b"{}"))

    def _is_news(self, watch: Watch, view: View, method: str) -> bool:
        """Tell whether a list is other than it was last shown, and take note of it as it is now."""
        before = watch.seen.get(method)
        if before is None and watch.conversation is not None:
            return False  # it was not asked for
        watch.seen[method] = now = self._lists.shown(watch.principal, view, KINDS[method]).digest
        return before is not None and before != now

    def _attend(self, watch: Watch) -> None:
        """Listen to the servers that the watcher is shown now, and no more to others."""
        current = set(self._lists.served(watch.principal, self._view(watch)))
        for served in current - watch.attended:
            served.attend()
        for served in watch.attended - current:
            served.neglect()
        watch.attended = current

    def _view(self, watch: Watch) -> View:
        """Return where the watcher looks from now; its server may have been edited or taken away."""
        snapshot = self._snapshot()
        if watch.server is None:
            return View(snapshot, None, watch.conversation)
        return View(snapshot, snapshot.by_id.get(watch.server.id, watch.server), watch.conversation)
