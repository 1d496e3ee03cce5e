"""Asking a server for everything that it offers: all pages of all lists, within bounds."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from coatcheck.core import catalogues
from coatcheck.core.wire import param_headers
from coatcheck.core.wire.param_headers import Annotations
from coatcheck.errors import UpstreamBadReply
from coatcheck.model.call import Result
from coatcheck.model.catalogue import Catalogue, Entry
from coatcheck.model.era import Era
from coatcheck.ports import Ask, Upstream

MAX_PAGES: Final = 100
MAX_LIST_BYTES: Final = 32 * 1024 * 1024
"""Most that all pages of one list may weigh together."""

_CAPABILITY: Final = {
    Ask.TOOLS: "tools",
    Ask.PROMPTS: "prompts",
    Ask.RESOURCES: "resources",
    Ask.TEMPLATES: "resources",
}


async def fetch_catalogue(upstream: Upstream) -> Catalogue:
    """Return the server's greeting and all of its lists.

    Raises:
        UpstreamError: the server fails, or its lists break a limit.
    """
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
        lists[what] = entries
        problems.extend(bad)
    headers: dict[str, Annotations] = {}
    if greeting.era is Era.MODERN:
        headers = _mirrored(lists[Ask.TOOLS], problems)
        lists[Ask.TOOLS] = {name: tool for name, tool in lists[Ask.TOOLS].items() if name in headers}
    return Catalogue(
        greeting,
        tools=MappingProxyType(dict(lists[Ask.TOOLS])),
        prompts=MappingProxyType(dict(lists[Ask.PROMPTS])),
        resources=MappingProxyType(dict(lists[Ask.RESOURCES])),
        templates=MappingProxyType(dict(lists[Ask.TEMPLATES])),
        mirrored=MappingProxyType({name: found for name, found in headers.items() if found}),
        quarantined=tuple(problems),
        ttl_ms=min(ttls, default=0),
    )


def _mirrored(tools: Mapping[str, Entry], problems: list[str]) -> dict[str, Annotations]:
    """Return the headers that each tool asks for; a tool that asks wrongly is left out (SEP-2243)."""
    found: dict[str, Annotations] = {}
    for name, tool in tools.items():
        schema = tool.members.get("inputSchema", b"{}")
        annotations = param_headers.annotations_of(schema)
        if annotations is None:
            problems.append(f"tools/list: {name[:80]!r} is left out: {param_headers.flaw_of(schema)}")
        else:
            found[name] = annotations
    return found


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
