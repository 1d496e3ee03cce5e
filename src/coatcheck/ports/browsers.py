"""Where it is kept who is signed in at which browser."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from coatcheck.model.browser import BrowserSession


class BrowserStore(Protocol):
    """The browser sessions that are not over. Every method raises `Unavailable` if the store cannot do it."""

    async def list(self) -> Sequence[BrowserSession]:
        """Return all of them, oldest first. Rows that say nothing are removed, and the log counts them."""
        ...

    async def add(self, session: BrowserSession, instead_of: Collection[str] = ()) -> None:
        """Keep a session, and remove those of these ids in the same breath."""
        ...

    async def note(self, seen: Mapping[str, datetime]) -> None:
        """Keep when sessions were last used, by id; one that is not there stays gone."""
        ...

    async def end(self, ids: Collection[str]) -> None:
        """Remove sessions; those that are gone already are no fault."""
        ...
