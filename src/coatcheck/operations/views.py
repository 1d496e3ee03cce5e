"""What an operator is shown of servers and tools; the same for the command line and, later, the console."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.core import names
from coatcheck.errors import UpstreamError
from coatcheck.model.access import Nature
from coatcheck.model.call import Caller, Kind, Target
from coatcheck.model.catalogue import Catalogue, Entry, Greeting
from coatcheck.model.era import LEGACY_VERSIONS, Era
from coatcheck.model.grant import Principal, Voucher
from coatcheck.model.server import HttpReach, Server
from coatcheck.operations.calling.natures import explained
from coatcheck.operations.reaching.served import Served
from coatcheck.operations.reaching.servers import Servers
from coatcheck.ports import UpstreamStatus

OPERATOR: Final = Principal("operator", frozenset(), "operator", "operator", Voucher.LOCAL)
"""Whoever can open the socket in the data directory: the account that runs the gateway."""
OPERATORS_TOOL: Final = Caller(Era.LEGACY, LEGACY_VERSIONS[0], "coatcheck", "")


@dataclass(frozen=True, slots=True)
class ServerView:
    """One server as it stands: its record, its upstream's status and what is known of its lists."""

    server: Server
    status: UpstreamStatus
    greeting: Greeting | None
    tools: int | None
    prompts: int | None
    resources: int | None
    degraded: bool
    last_error: str
    quarantined: tuple[str, ...]

    @property
    def reach(self) -> str:
        """The URL as written in the file, or the command; never arguments."""
        reach = self.server.reach
        return reach.shown_url if isinstance(reach, HttpReach) else reach.command


@dataclass(frozen=True, slots=True)
class ToolView:
    """One tool of one server; what it does to the world, and why that is thought.

    `held_back`: nobody may see or call it until an operator accepts what its server made of it.
    """

    server: str
    exposed: str
    entry: Entry
    nature: Nature
    why: str
    held_back: bool = False


class Views:
    """Looks at servers without deciding anything."""

    def __init__(self, servers: Servers, wait: float) -> None:
        self._servers = servers
        self._wait = wait

    async def servers(self, *, probe: bool) -> Sequence[ServerView]:
        """Return every server; with `probe`, those never heard from are asked first, for a bounded time."""
        if probe:
            await self._ask([served for served in self._servers.all() if served.catalogue is None])
        return [_view(served) for served in self._servers.all()]

    async def tools(self, name: str | None) -> tuple[Sequence[ToolView], Sequence[tuple[str, str]]]:
        """Return the tools of one server or all, and (server, error) for those without a list.

        Raises:
            KeyError: there is no server of that name.
        """
        chosen = [served for served in self._servers.all() if name in {None, served.server.name}]
        if name is not None and not chosen:
            raise KeyError(name)
        await self._ask([served for served in chosen if not served.is_fresh()])
        tools = [
            _tool_view(served.server, served.catalogue, entry)
            for served in chosen
            if served.catalogue is not None
            for entry in (*served.catalogue.tools.values(), *served.catalogue.held_back.values())
        ]
        failing = [(served.server.name, _why(served)) for served in chosen if served.catalogue is None]
        return tools, failing

    async def prompts(self, name: str) -> frozenset[str] | None:
        """Return the prompts of a server by name; None if it gave no list.

        Raises:
            KeyError: there is no server of that name.
        """
        served = next((one for one in self._servers.all() if one.server.name == name), None)
        if served is None:
            raise KeyError(name)
        if not served.is_fresh():
            await self._ask([served])
        return frozenset(served.catalogue.prompts) if served.catalogue is not None else None

    async def _ask(self, wanted: Sequence[Served]) -> None:
        """Ask servers for their lists side by side; what takes too long goes on without us."""
        waiting = [asyncio.ensure_future(_quietly(served)) for served in wanted]
        if waiting:
            _, pending = await asyncio.wait(waiting, timeout=self._wait)
            for one in pending:
                one.cancel()


async def _quietly(served: Served) -> None:
    try:
        await served.ask()
    except UpstreamError:
        return  # the server keeps its last error


def _why(served: Served) -> str:
    return served.last_error or served.upstream.status().last_error or "it has not answered yet"


def _tool_view(server: Server, catalogue: Catalogue, entry: Entry) -> ToolView:
    nature, why = explained(Target(Kind.TOOL, entry.name), server, catalogue)
    exposed, held_back = names.exposed(server.name, entry.name), entry.name in catalogue.held_back
    return ToolView(server.name, exposed, entry, nature, why, held_back)


def _view(served: Served) -> ServerView:
    catalogue = served.catalogue
    status = served.upstream.status()
    return ServerView(
        served.server,
        status,
        catalogue.greeting if catalogue else None,
        len(catalogue.tools) if catalogue else None,
        len(catalogue.prompts) if catalogue else None,
        len(catalogue.resources) if catalogue else None,
        served.degraded,
        status.last_error or served.last_error,
        catalogue.quarantined if catalogue else (),
    )
