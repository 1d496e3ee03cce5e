"""The opening of a conversation: which era the server speaks, and what it says of itself.

MCP 2026-07-28, stdio: `server/discover` is asked first; any answer but a modern greeting, and none in
time, means `initialize`. A server started slowly may answer late: its answer then belongs to no request.
"""

from __future__ import annotations

import asyncio

from coatcheck.core.wire import eras
from coatcheck.errors import UpstreamBadReply
from coatcheck.model.call import Fault, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import Era
from coatcheck.ports import Client
from coatcheck.upstream.duplex.exchange import Exchange


async def negotiate(exchange: Exchange, client: Client, first: Era, probe_timeout: float) -> Greeting:
    """Return the greeting of a server that was just started, trying the era `first` first.

    Raises:
        UpstreamError: the server is gone, or speaks no version that we speak.
    """
    greeting: Greeting | None = None
    if first is Era.MODERN:
        greeting = await _discover(exchange, probe_timeout)
    if greeting is not None:
        return greeting
    found = await _initialize(exchange, client)
    if isinstance(found, Greeting):
        return found
    # Strictly modern: asked for the wrong era first, or too slow to answer the first question.
    greeting = await _discover(exchange, probe_timeout)
    if greeting is None:
        raise UpstreamBadReply(
            f"{exchange.name} refused the handshake of every version that we speak",
            detail=f"initialize was answered with error {found.code}",
        )
    return greeting


async def initialize(exchange: Exchange, client: Client) -> Greeting:
    """Return the greeting of a server that can only speak a legacy version.

    Raises:
        UpstreamError: the server is gone, refuses, or speaks no version that we speak.
    """
    found = await _initialize(exchange, client)
    if isinstance(found, Fault):
        raise UpstreamBadReply(f"{exchange.name} refused initialize with error {found.code}")
    return found


async def _discover(exchange: Exchange, limit: float) -> Greeting | None:
    try:
        async with asyncio.timeout(limit):
            reply = await exchange.ask("server/discover", eras.discover_params())
    except (TimeoutError, UpstreamBadReply):
        return None
    return eras.read_discover(reply.raw) if isinstance(reply, Result) else None


async def _initialize(exchange: Exchange, client: Client) -> Greeting | Fault:
    """Return the greeting, or the refusal of a server that is strictly modern (-32022) or unwell."""
    reply = await exchange.ask("initialize", eras.initialize_params(client.version, client.capabilities))
    if isinstance(reply, Fault):
        return reply
    greeting = eras.read_initialize(reply.raw)
    if greeting is None:
        raise UpstreamBadReply(f"{exchange.name} answered initialize with a version that we do not speak")
    await exchange.deliver("notifications/initialized")
    return greeting
