"""The page of a developer: the own grants, clients and calls, and how each client is connected."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from coatcheck.console.web.page import Answer, AnyPage, Asked, Door, Moved, Nothing, Shown, seen
from coatcheck.core.client_pieces import pastes, route_of
from coatcheck.model.browser import Whose
from coatcheck.model.grant import Seen
from coatcheck.operations.own import OwnViews
from coatcheck.operations.registry.views import GrantView

MOST_CLIENTS: Final = 30


class OwnQuery(Struct):
    """Which calls: all, or those that did not end well."""

    refused: bool = False


class OwnPages:
    """Serves `/mine`."""

    def __init__(self, own: OwnViews, origin: Callable[[], str]) -> None:
        self._own = own
        self._origin = origin

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/mine", Door.SIGNED_IN, self.show, OwnQuery)]

    async def show(self, asked: Asked[OwnQuery, Nothing]) -> Answer:
        """Show a developer their own grants, clients and calls; operators are led to `/settings/me`."""
        session = asked.signed_in
        if session.whose is not Whose.SUBJECT:
            return Moved("/settings/me")
        own = await self._own.of(session.who, errors_only=asked.query.refused)
        reached = {None if view.servers is None else tuple(view.servers) for view in own.grants}
        only = next(iter(reached)) if len(reached) == 1 else None
        name, url = route_of(self._origin(), only)
        values = {
            "who": session.who,
            "own": own,
            "clients": _clients(own.grants),
            "refused": asked.query.refused,
            "url": url,
            "pastes": pastes(name, url, indent=2),
        }
        return Shown("mine/mine.html", values)


def _clients(grants: Sequence[GrantView]) -> Sequence[tuple[Seen, str]]:
    """Return the last use of each client by each grant, newest first, with what the grant is called."""
    found = [(seen_by, view.label) for view in grants for seen_by in view.clients]
    return sorted(found, key=lambda one: one[0].at, reverse=True)[:MOST_CLIENTS]
