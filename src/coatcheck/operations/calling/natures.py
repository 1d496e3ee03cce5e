"""What a tool does to the world, as told by the lists of the server that has it."""

from __future__ import annotations

import asyncio
from typing import Final

from coatcheck.core.access.classify import nature_of_tool, nature_of_unlisted
from coatcheck.core.access.decide import may_see
from coatcheck.core.access.rules import Rules
from coatcheck.errors import UpstreamTimeout
from coatcheck.model.access import Nature
from coatcheck.model.call import Kind, Target
from coatcheck.model.catalogue import Catalogue
from coatcheck.model.grant import Principal
from coatcheck.model.server import Server
from coatcheck.operations.reaching.served import Served

NOT_ASKED: Final = Nature.AMBIGUOUS
"""The nature of what has none: prompts and resources, and tools where the rules do not ask for it."""


def nature_of(target: Target, server: Server, catalogue: Catalogue | None) -> Nature:
    """Return the nature of a tool by the lists at hand."""
    return explained(target, server, catalogue)[0] if target.kind is Kind.TOOL else NOT_ASKED


def explained(target: Target, server: Server, catalogue: Catalogue | None) -> tuple[Nature, str]:
    """Return the nature of a tool, and why it is that.

    A tool that no list names is ambiguous whatever its name says, for its annotations may say otherwise;
    the operator's marks hold all the same.
    """
    entry = (catalogue.tools.get(target.name) or catalogue.held_back.get(target.name)) if catalogue else None
    if entry is None:
        return nature_of_unlisted(target.name, server.marks)
    return nature_of_tool(target.name, entry.members.get("annotations"), server.marks, trusted=server.trusted)


async def learned(
    target: Target, principal: Principal, server: Server, served: Served, rules: Rules, wait: float
) -> Nature:
    """Return the nature of a tool that is about to be called; ask the server if its lists do not name it.

    The server is not asked for the sake of a caller who could not use the tool whatever it is. `server` is as
    the caller's snapshot has it; what is `served` may be marked and trusted otherwise by now.

    Raises:
        UpstreamError: the server gave no list within `wait` seconds.
    """
    catalogue = served.catalogue
    if catalogue is not None and (target.name in catalogue.tools or target.name in catalogue.held_back):
        return nature_of(target, server, catalogue)
    marked, _ = nature_of_unlisted(target.name, server.marks)
    if marked is not Nature.AMBIGUOUS:
        return marked
    if not any(may_see(target, principal, server, rules, nature) for nature in Nature):
        return NOT_ASKED
    try:
        async with asyncio.timeout(wait):
            await served.offers(target)
    except TimeoutError:
        raise UpstreamTimeout(f"{server.name} did not list its tools within {wait:g} s.") from None
    return nature_of(target, server, served.catalogue)
