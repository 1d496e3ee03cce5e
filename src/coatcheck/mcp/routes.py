"""Public paths: `/mcp` is every server the caller may reach, `/mcp/<name or UUID>` is one.

Each has two more for clients of the deprecated HTTP+SSE transport (MCP 2024-11-05): `sse` and `message`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum
from functools import lru_cache
from typing import Final

_OLD: Final = "sse|message"
_PATH: Final = re.compile(
    rf"/mcp(?:/(?!(?:{_OLD})(?:/|\Z))(?P<server>[A-Za-z0-9_-]{{1,40}}))?(?:/(?P<entrance>{_OLD}))?/?\Z"
)


class Entrance(StrEnum):
    """The transport that a path belongs to: streamable HTTP, or the stream or the messages of HTTP+SSE."""

    STREAMABLE = ""
    SSE = "sse"
    MESSAGE = "message"


@dataclass(frozen=True, slots=True)
class Route:
    """A route as asked for: `server` is the name or UUID in the path, None for the aggregated route."""

    server: str | None
    entrance: Entrance = Entrance.STREAMABLE

    @property
    def path(self) -> str:
        """The route in its one canonical spelling, for records; the same for every transport."""
        return f"/mcp/{self.server}" if self.server else "/mcp"


@lru_cache(maxsize=256)
def find_route(path: str) -> Route | None:
    """Return the route of a path, or None for every path that is no MCP route."""
    match = _PATH.match(path)
    return Route(match["server"], Entrance(match["entrance"] or "")) if match else None
