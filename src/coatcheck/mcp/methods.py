"""The table of methods: what each asks for, on one server or on all. A method not in the table is refused."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from coatcheck.core import names
from coatcheck.core.access.decide import SCOPE_RULE, may_see
from coatcheck.core.wire import messages
from coatcheck.core.wire.eras import reply_for
from coatcheck.core.wire.levels import LEVELS, is_level
from coatcheck.core.wire.standing import SET_LEVEL, STANDING, SUBSCRIBE, UNSUBSCRIBE
from coatcheck.errors import UpstreamError
from coatcheck.mcp import openings
from coatcheck.mcp.finding import Finding, Found
from coatcheck.mcp.request import Request
from coatcheck.model.call import Fault, Kind, Reply, Result, Target
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import Era
from coatcheck.model.record import Outcome, Verdict
from coatcheck.model.server import Server
from coatcheck.operations.calling.call import Calls, not_found, our_fault, with_param
from coatcheck.operations.calling.natures import NOT_ASKED
from coatcheck.operations.hearing.listening import Listening
from coatcheck.operations.hearing.standing import StandingRequests
from coatcheck.operations.hearing.watches import LISTEN, Watches
from coatcheck.operations.lists import KINDS, Lists
from coatcheck.operations.reaching.servers import Servers
from coatcheck.operations.records import Matter, Records


class Methods:
    """Answers requests of both eras; transport and framing are the caller's affair."""

    def __init__(
        self,
        servers: Servers,
        calls: Calls,
        lists: Lists,
        records: Records,
        listening: Listening,
        watches: Watches,
    ) -> None:
        self._servers = servers
        self._calls = calls
        self._lists = lists
        self._records = records
        self._listening = listening
        self._finding = Finding(lists)
        self._standing = StandingRequests(servers, calls, records, watches)
        shared: dict[str, Callable[[Request], Awaitable[Reply]]] = dict.fromkeys(KINDS, self._list)
        shared |= {
            "tools/call": self._call_tool,
            "prompts/get": self._get_prompt,
            "resources/read": self._read_resource,
            "completion/complete": self._complete,
        }
        self._tables: Final[Mapping[Era, Mapping[str, Callable[[Request], Awaitable[Reply]]]]] = {
            Era.MODERN: shared | {"server/discover": self._discover, LISTEN: self._listen},
            Era.LEGACY: shared
            | {
                "ping": _pong,
                SET_LEVEL: self._set_level,
                SUBSCRIBE: self._subscribe,
                UNSUBSCRIBE: self._subscribe,
            },
        }

    def knows(self, era: Era, method: str) -> bool:
        """Tell whether the era has the method and we serve it."""
        return method in self._tables[era]

    def offers(self, request: Request) -> bool:
        """Tell whether a server in reach has what the method asks for, or has not been heard from yet.

        A list of what no server has is empty, which asks for no error.
        """
        owed = _OWED.get(request.call.method)
        if owed is None or (request.server is None and request.call.method in STANDING):
            return True  # on the route of all servers these are announced whatever the servers have
        in_reach = [request.server] if request.server else request.snapshot.reachable(request.asked.principal)
        catalogues = [self._servers.of(server).catalogue for server in in_reach]
        return any(one is None or _has(one.greeting, *owed) for one in catalogues)

    async def answer(self, request: Request) -> Reply:
        """Answer a request of a known method, in the shape its era expects.

        Raises:
            LedgerUnavailable: the record could not be made durable, and nothing was done.
        """
        era = request.asked.caller.era
        reply = await self._tables[era][request.call.method](request)
        return reply_for(reply, request.call.method, era)

    # --- openings ---

    async def initialize(self, request: Request, version: str) -> Reply:
        """Answer `initialize` in the version negotiated."""
        try:
            greeting, instructions = await self._greet(request)
        except UpstreamError as error:
            return our_fault(error.message)
        return openings.initialize_result(version, greeting, instructions)

    async def _listen(self, request: Request) -> Reply:
        async def owner(uri: str) -> Server | None:
            return await self._finding.owner(request, uri)

        return await self._listening.listen(
            request.asked, request.snapshot, request.server, request.call, owner, request.notify
        )

    async def _discover(self, request: Request) -> Reply:
        try:
            greeting, instructions = await self._greet(request)
        except UpstreamError as error:
            return our_fault(error.message)
        return openings.discover_result(greeting, instructions)

    async def _greet(self, request: Request) -> tuple[Greeting | None, str | None]:
        """Return what one server said of itself; for all of them only what is known, without waiting.

        Instructions describe tools: they are for those who may use any.
        """
        if request.server is not None:
            greeting = (await self._servers.of(request.server).known()).greeting
            return greeting, greeting.instructions if _may_use(request, request.server) else None
        parts = []
        for server in request.snapshot.reachable(request.asked.principal):
            catalogue = self._servers.of(server).catalogue
            if catalogue is not None and catalogue.greeting.instructions and _may_use(request, server):
                parts.append((server.name, catalogue.greeting.instructions))
        return None, openings.merged_instructions(parts)

    # --- lists ---

    async def _list(self, request: Request) -> Reply:
        kind = KINDS[request.call.method]
        if "cursor" in request.call.params:
            return await self._lists.refuse_cursor(request.asked, request.server, kind)
        return await self._lists.list(
            request.asked, request.snapshot, request.server, kind, request.conversation
        )

    # --- calls ---

    def _call_tool(self, request: Request) -> Awaitable[Reply]:
        return self._perform_named(request, Kind.TOOL)

    def _get_prompt(self, request: Request) -> Awaitable[Reply]:
        return self._perform_named(request, Kind.PROMPT)

    async def _perform_named(self, request: Request, kind: Kind) -> Reply:
        shown = messages.text_of(request.call.params.get("name")) or ""
        found = await self._finding.named(request, kind, shown)
        if found is None:
            return await self._nowhere(request, kind, shown)
        return await self._perform(request, found, shown)

    async def _read_resource(self, request: Request) -> Reply:
        uri = messages.text_of(request.call.params.get("uri")) or ""
        server = await self._finding.owner(request, uri)
        if server is None:
            return await self._nowhere(request, Kind.RESOURCE, uri)
        return await self._perform(request, Found(server, Target(Kind.RESOURCE, uri), request.call), uri)

    # --- what lasts as long as a session ---

    async def _set_level(self, request: Request) -> Reply:
        level = messages.text_of(request.call.params["level"])
        if request.conversation is None or level is None or not is_level(level):
            return Fault(messages.INVALID_PARAMS, f"params.level must be one of: {', '.join(LEVELS)}")
        return await self._standing.set_level(
            request.asked, request.snapshot, request.conversation, request.server, request.call, level
        )

    async def _subscribe(self, request: Request) -> Reply:
        uri = messages.text_of(request.call.params["uri"]) or ""
        server = await self._finding.owner(request, uri)
        if server is None:
            return await self._nowhere(request, Kind.RESOURCE, uri)
        if request.conversation is None:
            return Fault(messages.INVALID_REQUEST, "There is no session to subscribe for.")
        return await self._standing.subscribe(
            request.asked, request.snapshot, request.conversation, server, request.call, uri
        )

    async def _complete(self, request: Request) -> Reply:
        reference = messages.members_of(request.call.params["ref"]) or {}
        kind = messages.text_of(reference.get("type"))
        name, uri = (messages.text_of(reference.get(key)) for key in ("name", "uri"))
        if kind == "ref/prompt" and name is not None:
            found = await self._finding.named(request, Kind.PROMPT, name)
            if found is None:
                return await self._nowhere(request, Kind.PROMPT, name)
            own = messages.object_of({**reference, "name": messages.raw_of(found.target.name)})
            call = with_param(request.call, "ref", own)
            return await self._perform(request, Found(found.server, found.target, call), name)
        if kind == "ref/resource" and uri is not None:
            server = await self._finding.owner(request, uri)
            if server is None:
                return await self._nowhere(request, Kind.RESOURCE, uri)
            return await self._perform(request, Found(server, Target(Kind.RESOURCE, uri), request.call), uri)
        fault = Fault(messages.INVALID_PARAMS, "params.ref must be a ref/prompt or a ref/resource")
        matter = Matter(request.call.method, request.server.name if request.server else "")
        await self._records.close(
            request.asked, matter, Verdict.DENIED, "(request)", fault.message, Outcome.DENIED
        )
        return fault

    async def _perform(self, request: Request, found: Found, shown: str) -> Reply:
        performed = await self._calls.perform(
            request.asked,
            request.snapshot.rules,
            found.server,
            found.target,
            found.call,
            request.notify,
            shown,
            request.conversation,
        )
        return performed.reply

    async def _nowhere(self, request: Request, kind: Kind, shown: str) -> Fault:
        """Answer a name that leads to no server; on record like any other refusal.

        The record, and nothing else, tells a server out of the caller's reach from one that there is not.
        """
        server, rule = request.server.name if request.server else "", "(unknown)"
        because = "no server in reach has this name"
        beyond = request.snapshot.servers.get(names.server_of(shown) or "") if kind in _NAMED else None
        if request.server is None and beyond is not None:
            server, rule, because = beyond.name, SCOPE_RULE, f"the grant does not reach {beyond.name}"
            shown = shown.partition(names.SEPARATOR)[2]
        matter = Matter(request.call.method, server, shown)
        await self._records.close(request.asked, matter, Verdict.HIDDEN, rule, because, Outcome.DENIED)
        return not_found(kind, shown)


_NAMED: Final = frozenset({Kind.TOOL, Kind.PROMPT})
"""What has the name of its server before its own on the route of all servers."""
_OWED: Final[Mapping[str, tuple[str, str]]] = {
    "completion/complete": ("completions", ""),
    SET_LEVEL: ("logging", ""),
    SUBSCRIBE: ("resources", "subscribe"),
    UNSUBSCRIBE: ("resources", "subscribe"),
}
"""Method -> the capability that it needs, and the member of it that must be true."""


def _has(greeting: Greeting, capability: str, member: str) -> bool:
    raw = greeting.capabilities.get(capability)
    if raw is None or not member:
        return raw is not None
    return (messages.members_of(raw) or {}).get(member) == b"true"


def _may_use(request: Request, server: Server) -> bool:
    """Tell whether the caller may use anything of a server."""
    whole = Target(Kind.SERVER, "")
    return may_see(whole, request.asked.principal, server, request.snapshot.rules, NOT_ASKED)


async def _pong(request: Request) -> Reply:  # noqa: ARG001 - a row of the table
    return Result(b"{}")
