"""The bounds for one server over HTTP."""

from __future__ import annotations

from dataclasses import dataclass

from coatcheck.ports import Bearers
from coatcheck.upstream.http.hop.asides import AsideLimits
from coatcheck.upstream.http.hop.pool import PoolLimits
from coatcheck.upstream.http.hop.reading import ReplyLimits
from coatcheck.upstream.pace import Pace


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds for one server over HTTP. Times in seconds.

    `connect` is for the whole handshake. After `idle` without a use the session and all connections are given
    up. `hearing` is how long a handshake waits for the stream of what belongs to no request, so that what the
    server says during the first call is heard. `streams` are the subscriptions of callers that may be open,
    `resumptions` how often the stream of one call may be resumed.
    `pace` is shared by all who speak to the same server; without one, each line has its own. `bearers` have
    the tokens for servers that want OAuth.
    """

    connect: float = 60.0
    idle: float = 300.0
    hearing: float = 0.5
    streams: int = 1024
    resumptions: int = 1000
    aside: AsideLimits = AsideLimits()
    pool: PoolLimits = PoolLimits()
    reply: ReplyLimits = ReplyLimits()
    pace: Pace | None = None
    bearers: Bearers | None = None
