"""The servers of the snapshot in force: one upstream each, and the last good lists it gave."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Final
from uuid import UUID

from coatcheck.core import catalogues, names
from coatcheck.errors import CoatcheckError, UpstreamBadReply, UpstreamError, UpstreamUnreachable
from coatcheck.model.call import Kind, Result, Target
from coatcheck.model.catalogue import Catalogue, Entry
from coatcheck.model.server import Server
from coatcheck.ports import Ask, Clock, State, Upstream, Upstreams

log = logging.getLogger(__name__)

MAX_PAGES: Final = 100
MAX_LIST_BYTES: Final = 32 * 1024 * 1024
"""Most that all pages of one list may weigh together."""
MAX_TTL: Final = 3600.0
_ASK_AGAIN: Final = 1.0
"""Seconds between two askings for a name that no list holds: guessing names must not load a server."""

_CAPABILITY: Final = {
    Ask.TOOLS: "tools",
    Ask.PROMPTS: "prompts",
    Ask.RESOURCES: "resources",
    Ask.TEMPLATES: "resources",
}


@dataclass(frozen=True, slots=True)
class ListTimes:
    """Seconds: how long a list is kept, an aggregated one waits for a server, calls may drain."""

    keep: float = 5.0
    wait: float = 10.0
    drain: float = 30.0


class Served:
    """One server in use: its upstream, its last good catalogue and how the last asking for it went."""

    def __init__(self, server: Server, upstream: Upstream, clock: Clock, times: ListTimes) -> None:
        self.server = server
        self.upstream = upstream
        self.catalogue: Catalogue | None = None
        self.exposed: Mapping[str, str] = MappingProxyType({})
        self.last_error = ""
        self._clock = clock
        self._times = times
        self._asked_at = float("-inf")
        self._asking: asyncio.Task[Catalogue] | None = None

    @property
    def degraded(self) -> bool:
        """Whether the lists shown are older than the last failed asking."""
        return bool(self.last_error) and self.catalogue is not None

    def inherit(self, old: Served) -> None:
        """Take over the lists of the same server before an edit, until it was asked anew."""
        self.catalogue, self.exposed = old.catalogue, old.exposed

    async def known(self) -> Catalogue:
        """Return the lists at hand, however old; ask for them if there are none.

        Raises:
            UpstreamError: there are none and the server fails.
        """
        return self.catalogue or await self.ask()

    async def fresh(self) -> Catalogue:
        """Return lists no older than their time to keep; the last good ones if the server fails.

        Raises:
            UpstreamError: the server fails and never gave any.
        """
        if self.catalogue is not None and self.is_fresh():
            return self.catalogue
        return await self._ask_or_last()

    def is_fresh(self) -> bool:
        """Tell whether the lists at hand are no older than their time to keep.

        Those of a server that was stopped for want of calls stay good: a list must not start it again. Lists
        taken over from before an edit are never fresh.
        """
        if self.catalogue is None or self._asked_at == float("-inf"):
            return False
        return self._age() < self._keep() or self.upstream.state is State.IDLE

    def own_name(self, shown: str) -> str:
        """Return the server's own name for one shown on the aggregated route."""
        return self.exposed.get(shown) or shown.partition(names.SEPARATOR)[2]

    async def offers(self, target: Target) -> bool:
        """Tell whether a list of the server names the target; ask once more before saying that none does.

        Raises:
            UpstreamError: there is no list and the server fails.
        """
        found = _offers(await self.known(), target)
        if not found and self._age() > _ASK_AGAIN:
            found = _offers(await self._ask_or_last(), target)
        return found

    async def _ask_or_last(self) -> Catalogue:
        try:
            return await self.ask()
        except UpstreamError:
            if self.catalogue is None:
                raise
            return self.catalogue

    async def ask(self) -> Catalogue:
        """Ask the server for its lists, once for all who wait.

        Raises:
            UpstreamError: the server fails.
        """
        if self._asking is None or self._asking.done():
            self._asking = asyncio.create_task(self._ask())
            self._asking.add_done_callback(_retrieve)
        return await asyncio.shield(self._asking)

    async def _ask(self) -> Catalogue:
        try:
            catalogue = await _fetch(self.upstream)
        except CoatcheckError as error:
            self.last_error = error.message
            self._asked_at = self._clock.monotonic()
            raise
        self._asked_at = self._clock.monotonic()
        self.last_error = ""
        if self.catalogue is None or catalogue != replace(self.catalogue, version=0):
            version = self.catalogue.version + 1 if self.catalogue else 1
            self.catalogue = replace(catalogue, version=version)
            self.exposed = MappingProxyType(
                {names.exposed(self.server.name, own): own for own in (*catalogue.tools, *catalogue.prompts)}
            )
            for problem in catalogue.quarantined:
                log.warning("server %s: %s", self.server.name, problem)
        return self.catalogue

    def _age(self) -> float:
        return self._clock.monotonic() - self._asked_at

    def _keep(self) -> float:
        offered = self.catalogue.ttl_ms / 1000 if self.catalogue else 0.0
        return min(max(offered, self._times.keep), MAX_TTL)

    async def close(self, drain: float) -> None:
        """Let calls in flight end, then let go of the server."""
        await self.upstream.close(drain)


async def _fetch(upstream: Upstream) -> Catalogue:
    greeting = await upstream.greet()
    lists: dict[Ask, Mapping[str, Entry]] = {}
    problems: list[str] = []
    ttls: list[int] = []
    for what in Ask:
        items: list[bytes] = []
        if _CAPABILITY[what] in greeting.capabilities:
            items, ttl = await _fetch_list(upstream, what)
            ttls.append(ttl)
        entries, bad = catalogues.read_entries(what, items)
        lists[what] = MappingProxyType(entries)
        problems.extend(bad)
    return Catalogue(
        greeting,
        tools=lists[Ask.TOOLS],
        prompts=lists[Ask.PROMPTS],
        resources=lists[Ask.RESOURCES],
        templates=lists[Ask.TEMPLATES],
        quarantined=tuple(problems),
        ttl_ms=min(ttls, default=0),
    )


async def _fetch_list(upstream: Upstream, what: Ask) -> tuple[list[bytes], int]:
    """Return the entries of all pages of one list, raw, and the shortest time to keep a page."""
    name = upstream.server.name
    items: list[bytes] = []
    ttls: list[int] = []
    size = 0
    cursor: str | None = None
    seen: set[str] = set()
    for _ in range(MAX_PAGES):
        reply = await upstream.ask(what, cursor)
        if not isinstance(reply, Result):
            if what in {Ask.TEMPLATES, Ask.PROMPTS, Ask.RESOURCES} and not items:
                return [], 0  # many servers announce a capability and lack one of its lists
            raise UpstreamBadReply(f"{name} answered {what} with an error", detail=f"code {reply.code}")
        page = catalogues.read_page(what, reply.raw)
        if page is None:
            raise UpstreamBadReply(f"{name} answered {what} with something that is no list")
        items.extend(page.items)
        ttls.append(page.ttl_ms)
        size += len(reply.raw)
        if size > MAX_LIST_BYTES:
            raise UpstreamBadReply(f"{name} has more than {MAX_LIST_BYTES >> 20} MiB of {what}")
        if page.next_cursor is None:
            return items, min(ttls)
        if page.next_cursor in seen:
            raise UpstreamBadReply(f"{name} goes round in circles in {what}: a cursor came twice")
        seen.add(page.next_cursor)
        cursor = page.next_cursor
    raise UpstreamBadReply(f"{name} has more than {MAX_PAGES} pages of {what}")


def _offers(catalogue: Catalogue, target: Target) -> bool:
    if target.kind is Kind.TOOL:
        return target.name in catalogue.tools
    if target.kind is Kind.PROMPT:
        return target.name in catalogue.prompts
    return target.name in catalogue.resources or target.name in catalogue.templates


def _retrieve(task: asyncio.Task[Catalogue]) -> None:
    """Take the exception of an asking that nobody waits for any more."""
    if not task.cancelled():
        task.exception()


class Servers:
    """The servers in use. Follows the snapshot: a changed server gets a new upstream, the old one drains."""

    def __init__(self, upstreams: Upstreams, clock: Clock, times: ListTimes) -> None:
        self._upstreams = upstreams
        self._clock = clock
        self._times = times
        self._served: dict[UUID, Served] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def apply(self, wanted: Mapping[str, Server]) -> None:
        """Use these servers from now on."""
        served: dict[UUID, Served] = {}
        for server in wanted.values():
            old = self._served.pop(server.id, None)
            if old is not None and old.server == server:
                served[server.id] = old
                continue
            new = Served(server, self._upstreams.open(server), self._clock, self._times)
            if old is not None:
                new.inherit(old)
                self._retire(old)
            served[server.id] = new
        for gone in self._served.values():
            self._retire(gone)
        self._served = served

    def of(self, server: Server) -> Served:
        """Return the server in use.

        Ask right before it is used and keep nothing: an edit may put another upstream in its place.

        Raises:
            UpstreamUnreachable: an edit took the server away meanwhile.
        """
        try:
            return self._served[server.id]
        except KeyError:
            raise UpstreamUnreachable(f"{server.name} was just removed") from None

    def all(self) -> list[Served]:
        """Return every server in use, in the order of the file."""
        return list(self._served.values())

    def _retire(self, old: Served) -> None:
        task = asyncio.create_task(old.close(self._times.drain))
        self._closing.add(task)
        task.add_done_callback(self._closing.discard)

    async def close(self, drain: float) -> None:
        """Let go of every server."""
        closing = [served.close(drain) for served in self._served.values()]
        self._served = {}
        await asyncio.gather(*closing, *self._closing, return_exceptions=True)
