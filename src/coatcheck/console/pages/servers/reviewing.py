"""Tools that servers changed: before and after, and the word of an operator on what was seen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.servers import diffs
from coatcheck.console.pages.servers.framing import Framing
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Shown, done, seen
from coatcheck.console.web.rendering import paged, plural
from coatcheck.core.policy.builtin import BUILT_IN
from coatcheck.errors import Unfit
from coatcheck.model.stored_policy import UseKind
from coatcheck.operations.permissions import Permission
from coatcheck.operations.pinning.views import ChangeFilter
from coatcheck.operations.use_cases import UseCases

PAGE: Final = 25


class ReviewQuery(Struct):
    """Where to go on."""

    after: str = ""


class AcceptForm(Struct, kw_only=True):
    """The tools that are accepted, and of each the digest of what was seen. `back`: from the list of all."""

    tool: list[str] = []
    digest: list[str] = []
    because: str = ""
    back: bool = False


class ReviewPages:
    """Serves what waits."""

    def __init__(self, cases: UseCases, framing: Framing) -> None:
        self._cases = cases
        self._reviewing = cases.reviewing
        self._framing = framing

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        return [
            seen("/servers/review", Permission.TOOLS, self.all, ReviewQuery),
            seen("/servers/{ref}/review", Permission.TOOLS, self.one, ReviewQuery),
            done(
                "/servers/{ref}/review",
                Permission.POLICIES_WRITE,
                self.accept,
                AcceptForm,
                ReviewQuery,
                again=self.one,
            ),
        ]

    async def all(self, asked: Asked[ReviewQuery, Any]) -> Answer:
        """List the tools of all servers that wait for an operator."""
        page = await self._reviewing.list(ChangeFilter(limit=PAGE, after=asked.query.after or None))
        rows = [diffs.row_of(change) for change in page.items]
        groups: dict[str, list[diffs.ChangeRow]] = {}
        for row in rows:
            groups.setdefault(row.change.server, []).append(row)
        values = {
            "groups": groups,
            "hiding": self._hiding(),
            "shown": len(rows),
            "waiting": self._reviewing.waiting(),
            **paged("/servers/review", {}, asked.query.after, page.next),
        }
        return Shown("servers/review_all.html", values)

    async def one(self, asked: Asked[ReviewQuery, Any]) -> Shown:
        """Show the tools of one server that wait for an operator, and what changed in each."""
        frame = await self._framing.of(asked, "review")
        ref = str(frame["row"].view.id)
        wanted = ChangeFilter(ref, limit=PAGE, after=asked.query.after or None)
        page = await self._reviewing.list(wanted)
        rows = [diffs.row_of(change) for change in page.items]
        values = {
            **frame,
            "rows": rows,
            "hiding": self._hiding(),
            **paged(frame["at"]("review"), {}, asked.query.after, page.next),
        }
        return Shown("servers/review.html", values)

    async def accept(self, asked: Asked[ReviewQuery, AcceptForm]) -> Answer:
        """Accept tools of a server as they were seen."""
        form = asked.form
        if not form.tool or len(form.tool) != len(form.digest):
            raise Unfit("no tool is chosen", fix="look again, and accept what you saw")
        seen_ones = dict(zip(form.tool, form.digest, strict=True))
        ref = asked.names["ref"]
        accepted = await self._reviewing.accept(asked.actor, ref, seen_ones, form.because.strip())
        frame = await self._framing.of(asked, "review")
        said = f"{plural(len(accepted), 'tool')} of {frame['row'].view.name} accepted."
        return Moved("/servers/review" if form.back else frame["at"]("review"), said)

    def _hiding(self) -> Mapping[str, str]:
        """Return the policy of each server that has one, by the server's id: a tool can be hidden there."""
        uses = self._cases.directory.snapshot.registry.policy_uses.values()
        live = (use for use in uses if use.ended_at is None and use.policy not in BUILT_IN)
        return {use.of: use.policy for use in live if use.kind is UseKind.SERVER}
