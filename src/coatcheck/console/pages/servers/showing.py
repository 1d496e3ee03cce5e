"""One server: how it stands and did, its tools, credentials, grants, calls and output."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages import plots
from coatcheck.console.pages.reading import if_readable
from coatcheck.console.pages.servers.framing import Framing
from coatcheck.console.pages.servers.listing import DAY
from coatcheck.console.pages.servers.words import (
    nature_in_words,
    place_in_words,
    row_of,
    server_info,
    visible,
)
from coatcheck.console.web.commands import Retold
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.rendering import paged, plural, seconds
from coatcheck.core.activity import Series, Step
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.core.wire import messages
from coatcheck.model.credential import Stage
from coatcheck.model.operator import OperatorRole
from coatcheck.model.record import RecordEntry, RecordFilter
from coatcheck.model.verdict import Judgement
from coatcheck.operations.credentials.views import CredentialView
from coatcheck.operations.permissions import Permission, may
from coatcheck.operations.readers import ReadKind
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.patches import GrantFilter
from coatcheck.operations.registry.serving.judged import JudgedTool, judged
from coatcheck.operations.registry.serving.listing import ServerRow
from coatcheck.operations.registry.views import GrantState
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 50
ERRORS: Final = 5


class ToolQuery(Struct, kw_only=True):
    """Which tools to show: a part of name or title; what they do; allowed, not allowed or held back."""

    q: str = ""
    nature: str = ""
    standing: str = ""
    after: str = ""


class GrantQuery(Struct, kw_only=True):
    """Which grants to show: a part of the label, and in which state."""

    q: str = ""
    state: GrantState | None = None
    after: str = ""


@dataclass(frozen=True, slots=True)
class Use:
    """A credential of a server: where it goes. `view` None: there is none of this name."""

    place: str
    name: str
    view: CredentialView | None

    @property
    def active(self) -> Any:
        """The version in use, or None."""
        return self.view.at(Stage.ACTIVE) if self.view is not None else None


class ServerPages:
    """Serves the pages of one server that are looked at."""

    def __init__(self, cases: UseCases, framing: Framing) -> None:
        self._cases = cases
        self._framing = framing

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages. `/show` is for servers that are called as a page of ours is."""
        read = Permission.SERVERS_READ
        return [
            seen("/servers/{ref}", read, self.overview),
            seen("/servers/{ref}/show", read, self.overview),
            done("/servers/{ref}/test", read, self.test),
            seen("/servers/{ref}/tools", Permission.TOOLS, self.tools, ToolQuery),
            seen("/servers/{ref}/credentials", Permission.CREDENTIALS_READ, self.credentials),
            seen("/servers/{ref}/grants", Permission.GRANTS_READ, self.grants, GrantQuery),
            seen("/servers/{ref}/calls", Permission.RECORDS, self.calls),
            seen("/servers/{ref}/output", read, self.output),
        ]

    # --- overview ------------------------------------------------------------------------------------------

    async def overview(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show how a server does, now and in the last day."""
        frame = await self._framing.of(asked, "overview")
        row: ServerRow = frame["row"]
        series = await self._series(row.view.name)
        errors: Sequence[RecordEntry] | None = ()
        if may(asked.actor.role, Permission.RECORDS):
            errors = await self._record(asked, RecordFilter(server=row.view.name, errors=True, limit=ERRORS))
        values = {
            **frame,
            "series": series,
            "calls": plots.counts(series),
            "latency": plots.latency(series),
            "errors": errors,
            "info": server_info(row.standing),
        }
        return Shown("servers/overview.html", values)

    async def _series(self, name: str) -> Series | None:
        """Return the last day of a server; None where the record cannot be read."""
        since = self._cases.clock.now() - DAY
        return await if_readable(self._cases.activity.over(since, step=Step.HOUR, server=name))

    async def test(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Connect to a server and ask for its lists."""
        frame = await self._framing.of(asked, "overview")
        name = frame["row"].view.name
        tested = await self._cases.views.test(frame["row"].view.id)
        if tested.tools is None:
            said = f"{visible(tested.error)}. {Retold.of(tested.fix).sentence()}".strip()
            return Moved(frame["at"](), said[:600], "bad")
        took = seconds(tested.seconds)
        return Moved(frame["at"](), f"{name} answered in {took} and offers {plural(tested.tools, 'tool')}.")

    # --- tools ---------------------------------------------------------------------------------------------

    async def tools(self, asked: Asked[ToolQuery, Nothing]) -> Answer:
        """Show the tools of a server, and what callers may use of them."""
        frame = await self._framing.of(asked, "tools")
        row: ServerRow = frame["row"]
        found = self._cases.views.tools_at_hand(row.view.id)
        if found is None and not row.why and row.standing is not None:
            with suppress(KeyError):  # it was disabled meanwhile
                found, failing = await self._cases.views.tools_soon(row.view.name)
                found = None if failing else found
        tools = judged(self._cases.directory.snapshot, found or ())
        query = asked.query
        fit = [one for one in tools if _fits(one, query)]
        page = page_of(fit, lambda one: (one.tool.entry.name,), PAGE, query.after or None)
        here = {"q": query.q, "nature": query.nature, "standing": query.standing}
        path = frame["at"]("tools")
        values = {
            **frame,
            "known": found is not None,
            "tools": [row_of(one) for one in page.items],
            "all": len(tools),
            "found": len(fit),
            "query": query,
            "policy": _policy_of([one.default.rule for one in tools]),
            "left_out": [visible(one) for one in row.standing.quarantined] if row.standing else [],
            **paged(path, here, query.after, page.next),
        }
        return Shown("servers/tools.html", values)

    # --- credentials, grants, calls ------------------------------------------------------------------------

    async def credentials(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show which credentials a server is given."""
        frame = await self._framing.of(asked, "credentials")
        view = frame["row"].view
        known = await self._cases.server_lists.credentials(view.name)
        uses = [Use(place_in_words(place), name, known.get(name)) for place, name in view.credentials]
        return Shown("servers/credentials.html", {**frame, "uses": uses})

    async def grants(self, asked: Asked[GrantQuery, Nothing]) -> Answer:
        """Show the grants that reach a server."""
        frame = await self._framing.of(asked, "grants")
        query = asked.query
        glob = f"*{query.q.strip()}*" if query.q.strip() else None
        ref = str(frame["row"].view.id)
        page = await self._cases.grants.list(
            GrantFilter(server=ref, state=query.state, label=glob, limit=PAGE, after=query.after or None)
        )
        path, here = frame["at"]("grants"), {"q": query.q, "state": query.state}
        values = {
            **frame,
            "grants": page.items,
            "query": query,
            "states": [("", "any"), *((one.value, one.value) for one in GrantState)],
            "narrowed": any(here.values()),
            **paged(path, here, query.after, page.next),
        }
        return Shown("servers/grants.html", values)

    async def calls(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show the last calls of a server."""
        frame = await self._framing.of(asked, "calls")
        entries = await self._record(asked, RecordFilter(server=frame["row"].view.name, limit=PAGE))
        return Shown("servers/calls.html", {**frame, "entries": entries})

    async def _record(self, asked: Asked[Any, Any], wanted: RecordFilter) -> Sequence[RecordEntry] | None:
        """Return entries of the record, the newest first; None where it cannot be read.

        That they were looked at is recorded.
        """
        told = {"server": wanted.server, "errors": wanted.errors, "limit": wanted.limit}
        await self._cases.readers.look(asked.actor, ReadKind.LIST, told)
        looked = await if_readable(self._cases.ledger.look(wanted))
        return None if looked is None else list(reversed(looked.entries))

    async def output(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Show the last lines that a child wrote on standard error; it is for admins alone."""
        frame = await self._framing.of(asked, "output")
        standing = frame["row"].standing
        is_admin = asked.actor.role is OperatorRole.ADMIN
        lines = standing.status.stderr if standing is not None and is_admin else ()
        return Shown("servers/output.html", {**frame, "lines": lines, "is_admin": is_admin})


def _fits(one: JudgedTool, query: ToolQuery) -> bool:
    text = query.q.strip().casefold()
    title = messages.text_of(one.tool.entry.members.get("title")) or ""
    if text and text not in one.tool.entry.name.casefold() and text not in title.casefold():
        return False
    if query.nature not in {"", nature_in_words(one)}:
        return False
    if query.standing == "held":
        return one.tool.held_back
    is_allowed = one.default.judgement is Judgement.ALLOWED
    return query.standing == "" or (query.standing == "allowed") == is_allowed


def _policy_of(rules: Sequence[str]) -> str:
    """Return the policy that is used on a server, if one is."""
    own = BUILT_IN.keys() | {"(approved)", "(no policy)", "(quarantined)", "(scope)"}
    return next((name for rule in rules if (name := rule.partition(":")[0]) not in own), "")
