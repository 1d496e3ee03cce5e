"""Trying a server before it is kept: it is given what it would be given, and nobody else uses it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Final, Protocol

from coatcheck.errors import UpstreamCredentialRefused, UpstreamError, UpstreamTimeout
from coatcheck.model.call import Kind, Target
from coatcheck.model.catalogue import Catalogue
from coatcheck.model.change import ObjectKind
from coatcheck.model.credential import Credential
from coatcheck.model.operator import Actor
from coatcheck.model.policy import Default
from coatcheck.model.registry import Edit
from coatcheck.model.server import Server, StoredServer
from coatcheck.operations.calling.natures import explained
from coatcheck.operations.merging import server_of
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.registry import changes
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.registry.serving.judged import JudgedTool
from coatcheck.operations.registry.serving.registered import shown_reach
from coatcheck.operations.rotation.trying import Cleaner
from coatcheck.operations.supplying import stored_credentials, supplied
from coatcheck.operations.views import ToolView

AT_ONCE: Final = 4
SECONDS: Final = 30.0
"""How long a server may take: the first start of a command may have to fetch it."""


class Weigh(Protocol):
    """Judges what is to be registered."""

    def weigh(self, actor: Actor, new: NewServer) -> tuple[StoredServer, list[Credential]]:
        """Return a server and the credentials made for it as they would be kept; raises as for adding it."""
        ...


@dataclass(frozen=True, slots=True)
class Trial:
    """What came of it. `reach` is the URL or command as it may be shown; `made` are pairs of place and name.

    `catalogue` None: it could not be asked, and `error` and `fix` say why; both are empty where it was not,
    since it is to be connected first. `refused`: it wants a credential, or another one.
    """

    server: Server = field(repr=False)
    reach: str
    made: tuple[tuple[str, str], ...]
    named: tuple[tuple[str, str], ...] = ()
    catalogue: Catalogue | None = None
    error: str = ""
    fix: str = ""
    refused: bool = False
    seconds: float = 0.0


class Trials:
    """Tries servers that are not kept. What is tried is on record, for a command runs by it."""

    def __init__(self, desk: Desk, registered: Weigh, servers: Servers, seconds: float = SECONDS) -> None:
        self._desk = desk
        self._registered = registered
        self._servers = servers
        self._seconds = seconds
        self._places = asyncio.Semaphore(AT_ONCE)

    async def run(self, actor: Actor, new: NewServer) -> Trial:
        """Connect to a server and list what it offers.

        Raises:
            Unfit, Taken, Forbidden: as `RegisteredServers.add`.
            Unavailable: it cannot be put on record.
        """
        stored, made = self._registered.weigh(actor, new)
        fresh = {one.name for one in made}
        places = [(place, name) for place, blank in stored.blanks.items() for name in blank.names]
        known = stored_credentials(self._desk.snapshot.registry) | {one.name: one for one in made}
        trial = Trial(
            supplied(server_of(stored), stored.blanks, known),
            shown_reach(stored.reach),
            tuple(one for one in places if one[1] in fresh),
            tuple(one for one in places if one[1] not in fresh),
        )
        if new.oauth is not None:
            return trial
        await self._desk.book.edit(lambda _: self._noted(actor, stored))
        if trial.server.lacking:
            return replace(trial, error=trial.server.lacking, fix="give it, or choose another")
        async with self._places:
            return await self._asked(trial)

    def _noted(self, actor: Actor, stored: StoredServer) -> Edit:
        what = (ObjectKind.SERVER, str(stored.id), stored.name)
        return Edit(
            (), (self._desk.scribe.changed(actor, "server.try", what, None, changes.of_server(stored)),)
        )

    async def _asked(self, trial: Trial) -> Trial:
        loop, served = asyncio.get_running_loop(), self._servers.open_beside(trial.server)
        began = loop.time()
        try:
            async with asyncio.timeout(self._seconds):
                catalogue = await served.ask()
            return replace(trial, catalogue=catalogue, seconds=loop.time() - began)
        except TimeoutError:
            said = f"{trial.server.name} did not answer within {self._seconds:g} s"
            failure: UpstreamError = UpstreamTimeout(said, fix="try again: the first start may take long")
        except UpstreamError as error:
            failure = error
        finally:
            await served.close(0.0)
        return replace(
            trial,
            error=Cleaner([trial.server]).reason(failure, served),
            fix=failure.fix,
            refused=isinstance(failure, UpstreamCredentialRefused),
            seconds=loop.time() - began,
        )

    def judged(
        self, trial: Trial, default: Default, approved: Sequence[str] | None = None, *, trusted: bool = False
    ) -> tuple[JudgedTool, ...]:
        """Return the tools that were found, as they would be judged if the server were kept like this."""
        if trial.catalogue is None:
            return ()
        narrowed = None if approved is None else tuple(approved)
        server = replace(trial.server, default=default, approved=narrowed, trusted=trusted)
        policies, found = self._desk.snapshot.rules.policies, []
        for entry in trial.catalogue.tools.values():
            nature, why = explained(Target(Kind.TOOL, entry.name), server, trial.catalogue)
            view = ToolView(server.name, entry.name, entry, nature, why)
            found.append(JudgedTool(view, policies.by_default(server, entry.name, nature)))
        return tuple(found)
