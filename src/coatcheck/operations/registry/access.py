"""Who may call what, and through which rule: the same decision as for calls, asked for every pair."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from msgspec.structs import replace

from coatcheck.core.access.decide import foresee
from coatcheck.errors import Missing
from coatcheck.model.call import Kind, Target
from coatcheck.model.grant import Grant, IssuedGrant, Principal, Voucher
from coatcheck.model.server import Server
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.granting.showing import AnyGrant, all_grants, state_of
from coatcheck.operations.registry.serving.servers import Probe
from coatcheck.operations.registry.views import GrantState
from coatcheck.operations.views import ToolView

MAX_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class AccessRow:
    """One answer: may this subject, with this grant, call this tool; `rule` and `because` say why.

    `grant` is a label; empty where the row is about what the subject could do with an unrestricted grant.
    """

    subject: str
    grant: str
    state: GrantState | None
    server: str
    tool: str
    allowed: bool
    rule: str
    because: str


@dataclass(frozen=True, slots=True)
class AccessRows:
    """Rows, and (server, error) for those servers whose tools nobody knows. `cut`: there were more rows."""

    rows: Sequence[AccessRow]
    failing: Sequence[tuple[str, str]] = ()
    cut: bool = False


class AccessViews:
    """Answers for people who ask before or after a call."""

    def __init__(self, desk: Desk, probe: Probe) -> None:
        self._desk = desk
        self._probe = probe

    async def of_subject(self, name: str, server: str | None = None) -> AccessRows:
        """Return a row for each grant of a subject that is not over, and each tool of each server in use.

        A subject without any grant gets rows of what an unrestricted one would allow (`grant` is empty).

        Raises:
            Missing: no such server.
        """
        tools, failing = await self._tools(server)
        snapshot = self._desk.snapshot
        grants = [grant for grant in self._standing(snapshot) if grant.subject == name]
        return self._answer(snapshot, grants or [None], name, tools, failing)

    async def of_tool(self, server: str, tool: str | None = None) -> AccessRows:
        """Return a row for each grant that is not over, and one tool by the server's own name; None: each.

        Raises:
            Missing: no such server or tool.
        """
        tools, failing = await self._tools(server)
        wanted = [one for one in tools if tool in {None, one.entry.name}]
        if tool is not None and not wanted and not failing:
            raise Missing(f"{server} has no tool {tool!r}", fix=f"run: coatcheck tools {server}")
        snapshot = self._desk.snapshot
        return self._answer(snapshot, list(self._standing(snapshot)), "", wanted, failing)

    async def _tools(self, server: str | None) -> tuple[Sequence[ToolView], Sequence[tuple[str, str]]]:
        found = self._desk.snapshot.find_server(server) if server is not None else None
        if server is not None and found is None:
            raise Missing(f"there is no server {server!r} in use", fix="`coatcheck list` names the servers")
        try:
            return await self._probe.tools(found.name if found is not None else None)
        except KeyError:  # it went away meanwhile
            return (), ()

    def _standing(self, snapshot: Snapshot) -> Iterator[AnyGrant]:
        now = self._desk.now()
        return (grant for grant in all_grants(snapshot) if not state_of(snapshot, grant, now).is_over)

    def _answer(
        self,
        snapshot: Snapshot,
        grants: Iterable[AnyGrant | None],
        subject: str,
        tools: Sequence[ToolView],
        failing: Sequence[tuple[str, str]],
    ) -> AccessRows:
        rows: list[AccessRow] = []
        for grant in grants:
            principal = principal_of(snapshot, grant, subject)
            state = state_of(snapshot, grant, self._desk.now()) if grant is not None else None
            for tool in tools:
                server = snapshot.servers.get(tool.server)
                if server is not None:
                    rows.append(_row(snapshot, principal, state, server, tool))
            if len(rows) > MAX_ROWS:
                return AccessRows(rows[:MAX_ROWS], failing, cut=True)
        return AccessRows(rows, failing)


def _row(
    snapshot: Snapshot, principal: Principal, state: GrantState | None, server: Server, tool: ToolView
) -> AccessRow:
    target = Target(Kind.TOOL, tool.entry.name)
    ruling = foresee(target, principal, server, snapshot.rules, tool.nature, held_back=tool.held_back)
    allowed, rule, because = ruling.allow, ruling.rule, ruling.because
    stored = snapshot.registry.subjects.get(principal.subject)
    if stored is not None and stored.disabled:
        allowed, rule, because = False, "(subject)", "the subject is disabled"
    return AccessRow(
        principal.subject,
        principal.grant_label,
        state,
        server.name,
        target.name,
        allowed,
        rule,
        because,
    )


def principal_of(snapshot: Snapshot, grant: AnyGrant | None, subject: str) -> Principal:
    """Return who would be calling, with the roles of the subject as it is stored."""
    if isinstance(grant, IssuedGrant):
        made = Principal(
            grant.subject, frozenset(), grant.id, grant.label, Voucher.GRANT, grant.servers, grant.tools
        )
    elif isinstance(grant, Grant):
        made = Principal(grant.subject, grant.roles, grant.id, grant.label, Voucher.GRANT, grant.servers)
    else:
        made = Principal(subject, frozenset(), "", "", Voucher.FORWARDED)
    stored = snapshot.registry.subjects.get(made.subject)
    return replace(made, roles=made.roles | stored.roles) if stored is not None else made
