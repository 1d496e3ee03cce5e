"""Servers with how they stand: for those who look for the one that needs them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum

from coatcheck.model.server import Source, Transport
from coatcheck.operations.credentials.credentials import Credentials
from coatcheck.operations.credentials.patches import CredentialFilter
from coatcheck.operations.credentials.views import CredentialView
from coatcheck.operations.pinning.reviewing import Reviewing
from coatcheck.operations.registry.paging import MAX_LIMIT, page_of
from coatcheck.operations.registry.serving.servers import RegisteredServers
from coatcheck.operations.registry.views import Page, RegisteredView
from coatcheck.operations.views import ServerView, Views
from coatcheck.ports import State


class Condition(StrEnum):
    """How a server stands, in one word."""

    READY = "ready"
    IDLE = "idle"
    """A command that does not run, for want of calls; the next call starts it."""
    UNASKED = "not asked yet"
    STARTING = "starting"
    DEGRADED = "degraded"
    """It failed when it was last asked; callers see what it listed before."""
    FAILING = "failing"
    LACKING = "lacking"
    """A credential that it needs is not there."""
    DISABLED = "disabled"


TROUBLED = frozenset({Condition.DEGRADED, Condition.FAILING, Condition.LACKING})


@dataclass(frozen=True, slots=True)
class ServerRow:
    """One server: as it is registered, how it stands and why, and how many of its tools wait for a review.

    `standing` None: it is not in use.
    """

    view: RegisteredView
    standing: ServerView | None
    condition: Condition
    why: str = ""
    waiting: int = 0


@dataclass(frozen=True, slots=True)
class RowFilter:
    """Which servers to list, by name. `text` is a part of the name, of the reach or of the note, in any case.

    `troubled`: only those that callers cannot use as they should. `waiting`: only those with tools to review.
    """

    text: str = ""
    condition: Condition | None = None
    troubled: bool = False
    waiting: bool = False
    source: Source | None = None
    transport: Transport | None = None
    limit: int = 50
    after: str | None = None


@dataclass(frozen=True, slots=True)
class ServerRows:
    """A page of servers, and how many there are in each condition, whatever was asked for."""

    page: Page[ServerRow]
    conditions: Mapping[Condition, int]
    found: int

    @property
    def all(self) -> int:
        """How many servers there are."""
        return sum(self.conditions.values())


class ServerLists:
    """Lists servers of both sources with how they stand."""

    def __init__(
        self, registered: RegisteredServers, views: Views, reviewing: Reviewing, credentials: Credentials
    ) -> None:
        self._registered = registered
        self._views = views
        self._reviewing = reviewing
        self._credentials = credentials

    async def list(self, wanted: RowFilter) -> ServerRows:
        """Return a page of servers, by name.

        Raises:
            Unfit: a limit or cursor that cannot be.
        """
        rows = await self._rows()
        found = [row for row in rows if _fits(row, wanted)]
        page = page_of(found, lambda row: (row.view.name,), wanted.limit, wanted.after)
        return ServerRows(page, Counter(row.condition for row in rows), len(found))

    async def get(self, ref: str) -> ServerRow:
        """Return one server.

        Raises:
            Missing: there is none.
        """
        view = await self._registered.get(ref)
        standing = {one.server.id: one for one in await self._views.servers(probe=False)}
        return _row(view, standing.get(view.id), self._reviewing.waiting_by_server().get(view.id, 0))

    async def credentials(self, server: str | None = None) -> Mapping[str, CredentialView]:
        """Return credentials by name: of one server, by name or UUID, or of all; `MAX_LIMIT` at the most."""
        found = await self._credentials.list(CredentialFilter(server=server, limit=MAX_LIMIT))
        return {one.name: one for one in found.items}

    async def _rows(self) -> Sequence[ServerRow]:
        standing = {one.server.id: one for one in await self._views.servers(probe=False)}
        waiting = self._reviewing.waiting_by_server()
        return [
            _row(view, standing.get(view.id), waiting.get(view.id, 0)) for view in self._registered.every()
        ]


def _row(view: RegisteredView, standing: ServerView | None, waiting: int) -> ServerRow:
    condition, why = _condition(view, standing)
    return ServerRow(view, standing, condition, why, waiting)


def _condition(view: RegisteredView, standing: ServerView | None) -> tuple[Condition, str]:
    if view.disabled or standing is None:
        return Condition.DISABLED, view.because
    if standing.server.lacking:
        return Condition.LACKING, standing.server.lacking
    state, known = standing.status.state, standing.tools is not None
    if state is State.STARTING:
        return Condition.STARTING, ""
    if state is State.FAILING or (standing.last_error and not known):
        return Condition.FAILING, standing.last_error
    if standing.degraded:
        return Condition.DEGRADED, standing.last_error
    if not known:
        return Condition.UNASKED, ""
    is_idle = view.transport is Transport.STDIO and state is not State.READY
    return (Condition.IDLE if is_idle else Condition.READY), ""


def _fits(row: ServerRow, wanted: RowFilter) -> bool:
    view, text = row.view, wanted.text.casefold()
    if text and all(text not in one.casefold() for one in (view.name, view.reach, view.note)):
        return False
    if (wanted.troubled and row.condition not in TROUBLED) or (wanted.waiting and not row.waiting):
        return False
    pairs = (
        (wanted.condition, row.condition),
        (wanted.source, view.source),
        (wanted.transport, view.transport),
    )
    return all(asked in {None, found} for asked, found in pairs)
