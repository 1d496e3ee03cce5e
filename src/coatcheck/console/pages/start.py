"""The first steps: a server, a grant, a call, and the call on the record; within a minute."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.reading import if_readable
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.core.client_pieces import curl, pastes, route_of
from coatcheck.errors import Taken
from coatcheck.model.call import Fault
from coatcheck.model.operator import Actor
from coatcheck.model.record import RecordFilter
from coatcheck.operations.calling.operators import CONSOLE
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.registry.patches import NewGrant
from coatcheck.operations.registry.serving.sample import NAME, TOOL, sample_server
from coatcheck.operations.use_cases import UseCases

_NEWEST: Final = RecordFilter(method="tools/call", limit=3)
"""The calls that are shown once there are some, to those who may read the record."""


class GrantForm(Struct):
    """The first grant: for whom, and what it is called."""

    owner: str
    label: str


class StartPages:
    """Serves the first steps."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [
            seen("/start", Permission.STATUS, self.show),
            done("/start/server", Permission.SERVERS_WRITE, self.add_server, again=self.show_again),
            done(
                "/start/grant",
                Permission.GRANTS_WRITE,
                self.issue,
                GrantForm,
                again=self.show_again,
                once="/grants",
            ),
            done("/start/call", Permission.CALL, self.call, again=self.show_again),
        ]

    async def show(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show what is done and what comes next; every few seconds, only what a call changes of that."""
        if asked.part == "calls":
            far = {
                "has_server": bool(self._cases.directory.snapshot.servers),
                "has_grant": self._cases.attention.has_grants(),
            }
            return Shown("start/again.html", {**await self._calls(asked.actor), **far})
        return await self.show_again(asked)

    async def show_again(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show what is done and what comes next."""
        return Shown("start/start.html", await self._values(asked.actor))

    async def add_server(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Add the sample server."""
        try:
            added = await self._cases.servers.add(asked.actor, sample_server())
        except Taken:
            return Moved("/start", f"There is a server {NAME} already.", "info")
        if added.error:
            return Moved("/start", f"{NAME} was added, but does not answer: {added.error}", "warn")
        return Moved("/start", f"{NAME} was added, and answers with {len(added.tools or ())} tools.")

    async def issue(self, asked: Asked[Nothing, GrantForm]) -> Answer:
        """Issue a grant for every server, and show its token, once."""
        form = asked.form
        new = NewGrant(form.label.strip(), form.owner.strip(), None)
        issued = await self._cases.grants.issue(asked.actor, new)
        name, url = route_of(self._cases.origin(), issued.grant.servers)
        values = await self._values(asked.actor)
        lines = (*pastes(name, url, indent=2, token=issued.token), curl(url, issued.token))
        return Shown("start/start.html", {**values, "issued": issued, "lines": lines})

    async def call(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Call a tool of the sample server."""
        performed = await self._cases.calls.call(asked.actor, NAME, TOOL, b"{}", CONSOLE)
        if isinstance(performed.reply, Fault):
            return Moved("/start", f"The call failed: {performed.reply.message}", "warn")
        return Moved("/start", "The call went through, and is on the record.")

    async def _values(self, actor: Actor) -> dict[str, Any]:
        cases = self._cases
        servers = cases.directory.snapshot.servers
        attention = await cases.attention.look()
        return {
            **await self._calls(actor),
            "servers": list(servers.values()),
            "has_sample": NAME in servers,
            "sample": NAME,
            "why_no_sample": cases.servers.may_add_commands(actor),
            "grants": attention,
            "owner": actor.name,
            "issued": None,
            "lines": (),
        }

    async def _calls(self, actor: Actor) -> dict[str, Any]:
        """Return the newest calls; to those who may not read the record, only whether there are some.

        `unread`: it cannot be read now, so that nobody knows.
        """
        newest = await if_readable(self._cases.ledger.look(_NEWEST))
        entries = () if newest is None else newest.entries
        reads = may(actor.role, Permission.RECORDS)
        if reads:
            await self._cases.readers.look(actor, ReadKind.LIST, {"method": _NEWEST.method})
        calls = list(reversed(entries)) if reads else ()
        return {"calls": calls, "has_call": bool(entries), "unread": newest is None}
