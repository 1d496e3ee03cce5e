"""Connecting an OAuth credential: a page with a plain link to the provider, for forms may not lead there."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.credentials.words import frame_of
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases


class ConnectingPages:
    """Serves connections."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [done("/credentials/{ref}/connect", Permission.CREDENTIALS_WRITE, self.connect)]

    async def connect(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show the link by which a person lets us in; where nobody is needed, it is connected at once."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        begun = await self._cases.connecting.begin(asked.actor, str(row.view.id), self._cases.origin())
        frame = frame_of(row)
        if not begun.url:
            return Moved(frame["at"](), f"{row.view.name} is connected.")
        minutes = round(begun.seconds / 60)
        values = {**frame, "url": begun.url, "minutes": minutes}
        return Shown("credentials/connect.html", values)
