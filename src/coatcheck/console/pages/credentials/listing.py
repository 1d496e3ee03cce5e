"""The list of credentials: what waits for somebody first, with why."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from msgspec import Struct

from coatcheck.console.pages.credentials.words import CUSTODIES, TONES
from coatcheck.console.pages.places import Places
from coatcheck.console.web.page import Answer, AnyPage, Asked, Nothing, Shown, seen
from coatcheck.console.web.rendering import paged
from coatcheck.model.credential import Stage
from coatcheck.operations.credentials.listing import LookFilter
from coatcheck.operations.credentials.views import CredentialState
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 50


class ListQuery(Struct, kw_only=True):
    """Which credentials to list."""

    q: str = ""
    state: CredentialState | None = None
    after: str = ""


class CredentialListPages:
    """Serves the list."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the page."""
        return [seen("/credentials", Permission.CREDENTIALS_READ, self.list, ListQuery)]

    async def list(self, asked: Asked[ListQuery, Nothing]) -> Answer:
        """List credentials, with what each waits for."""
        query = asked.query
        looked = await self._cases.credential_lists.list(
            LookFilter(query.q, query.state, PAGE, query.after or None)
        )
        here = {"q": query.q, "state": query.state}
        counted = {state: looked.states.get(state, 0) for state in CredentialState}
        return Shown(
            "credentials/list.html",
            {
                "looked": looked,
                "places": Places(self._cases.directory.snapshot),
                "lines": [(row, row.view.at(Stage.ACTIVE)) for row in looked.page.items],
                "query": query,
                "tones": TONES,
                "custodies": CUSTODIES,
                "states": [("", "any")]
                + [(one.value, f"{one.value} ({count})") for one, count in counted.items()],
                **paged("/credentials", here, query.after, looked.page.next),
                "narrowed": any(here.values()),
            },
        )
