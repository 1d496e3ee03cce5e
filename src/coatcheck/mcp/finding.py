"""What a request is about: which server has the tool, prompt or resource that it names."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from coatcheck.core import names
from coatcheck.core.access.decide import may_see
from coatcheck.core.templates import matches_template
from coatcheck.core.wire import messages
from coatcheck.mcp.request import Request
from coatcheck.model.call import Call, Kind, Target
from coatcheck.model.catalogue import Catalogue
from coatcheck.model.server import Server
from coatcheck.operations.calling.call import with_param
from coatcheck.operations.calling.natures import NOT_ASKED
from coatcheck.operations.lists import Lists


class Found(msgspec.Struct, frozen=True):
    """What a call is about: server, target by the server's own name, and the call as that server gets it."""

    server: Server
    target: Target
    call: Call


class Finding:
    """Finds the server that a name or a URI belongs to, by the lists that the client at hand is shown."""

    def __init__(self, lists: Lists) -> None:
        self._lists = lists

    async def named(self, request: Request, kind: Kind, shown: str) -> Found | None:
        """Return what a tool's or prompt's name leads to; None where it leads to no server in reach.

        On the route of one server every name is that server's; whether it exists is found out later.
        """
        if request.server is not None:
            return Found(request.server, Target(kind, shown), request.call)
        server = request.snapshot.servers.get(names.server_of(shown) or "")
        if server is None or not request.asked.principal.may_reach(server.id):
            return None
        served = self._lists.find(server, request.conversation)
        if len(shown) == names.MAX_EXPOSED and (served is None or served.catalogue is None):
            # perhaps a short form, which only the list explains
            await self._lists.bring_up([server], request.conversation)
            served = self._lists.find(server, request.conversation)
        own = served.own_name(shown) if served else shown.partition(names.SEPARATOR)[2]
        return Found(server, Target(kind, own), with_param(request.call, "name", messages.raw_of(own)))

    async def owner(self, request: Request, uri: str) -> Server | None:
        """Return the server that has a resource, or a template for it; stale lists are asked for anew."""
        if request.server is not None:
            return request.server
        owner = self._owner(request, uri)
        if owner is None:
            reachable = request.snapshot.reachable(request.asked.principal)
            await self._lists.bring_up(reachable, request.conversation)
            owner = self._owner(request, uri)
        return owner

    def _owner(self, request: Request, uri: str) -> Server | None:
        """Return the first server in reach that has the URI, of those first where the caller may use it.

        Otherwise a server whose resource is hidden would stand before another's that is listed.
        """
        principal, rules = request.asked.principal, request.snapshot.rules
        candidates = [
            (server, served.catalogue)
            for server in request.snapshot.reachable(principal)
            if (served := self._lists.find(server, request.conversation)) and served.catalogue is not None
        ]
        target = Target(Kind.RESOURCE, uri)
        seen = [one for one in candidates if may_see(target, principal, one[0], rules, NOT_ASKED)]
        return _first_with(uri, seen) or _first_with(uri, candidates)


def _first_with(uri: str, candidates: Sequence[tuple[Server, Catalogue]]) -> Server | None:
    """Return the first server that lists the URI, or else the first with a template it fits."""
    for server, catalogue in candidates:
        if uri in catalogue.resources or uri in catalogue.templates:
            return server
    for server, catalogue in candidates:
        if any(matches_template(template, uri) for template in catalogue.templates):
            return server
    return None
