"""What an operator is shown of servers and tools; the same for the command line and the console."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final
from uuid import UUID
from weakref import WeakKeyDictionary

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


@dataclass(frozen=True, slots=True)
class Tested:
    """What came of asking a server anew. `tools` None: it could not be asked, `error` and `fix` say why."""

    seconds: float
    tools: int | None = None
    error: str = ""
    fix: str = ""


FIRST_LOOK: Final = 2.0
"""Seconds from the first page on that waits for a server, for which pages do; some take long to start."""
LATER_LOOK: Final = 0.1
"""Seconds that a page waits for one after that, for one that failed, and for newer lists than at hand."""


class Views:
    """Looks at servers without deciding anything; waits for them for `wait` seconds at the most."""

    def __init__(self, servers: Servers, wait: float, *, first_look: float = FIRST_LOOK) -> None:
        self._servers = servers
        self._wait = wait
        self._first_look = first_look
        self._looked = WeakKeyDictionary[Served, float]()

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

    async def tools_soon(self, name: str) -> tuple[Sequence[ToolView], Sequence[tuple[str, str]]]:
        """Return the same of one server for a page, which does not wait for servers that let one wait.

        Raises:
            KeyError: there is no server of that name.
        """
        served = next((one for one in self._servers.all() if one.server.name == name), None)
        if served is None:
            raise KeyError(name)
        if not served.is_fresh():
            await self._ask([served], self._patience(served))
        found = self.tools_at_hand(served.server.id)
        return found or (), [(name, _why(served))] if found is None else []

    def tools_at_hand(self, server_id: UUID) -> Sequence[ToolView] | None:
        """Return the tools of a server as it last told them, without asking it; None: it told none yet."""
        served = self._servers.find(server_id)
        catalogue = served.catalogue if served is not None else None
        if served is None or catalogue is None:
            return None
        entries = (*catalogue.tools.values(), *catalogue.held_back.values())
        return [_tool_view(served.server, catalogue, entry) for entry in entries]

    async def test(self, server_id: UUID) -> Tested:
        """Connect to a server and ask for its lists, however new those at hand are; for a bounded time."""
        served, loop = self._servers.find(server_id), asyncio.get_running_loop()
        if served is None:
            return Tested(0.0, error="the server is not in use", fix="enable it first")
        began = loop.time()
        try:
            async with asyncio.timeout(self._wait):
                catalogue = await served.ask()
        except TimeoutError:
            said = f"{served.server.name} did not answer within {self._wait:g} s"
            return Tested(loop.time() - began, error=said, fix="try again: some take long to start")
        except UpstreamError as error:
            return Tested(loop.time() - began, error=error.message, fix=error.fix)
        return Tested(loop.time() - began, len(catalogue.tools) + len(catalogue.held_back))

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

    def _patience(self, served: Served) -> float:
        """Return the seconds that a page waits for a server: long only once, and not for one that failed."""
        now = asyncio.get_running_loop().time()
        if served.last_error or served.catalogue is not None:
            return LATER_LOOK
        return max(LATER_LOOK, self._looked.setdefault(served, now) + self._first_look - now)

    async def _ask(self, wanted: Sequence[Served], seconds: float | None = None) -> None:
        """Ask servers for their lists side by side; what takes too long goes on without us."""
        waiting = [asyncio.ensure_future(_quietly(served)) for served in wanted]
        if waiting:
            _, pending = await asyncio.wait(waiting, timeout=self._wait if seconds is None else seconds)
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
