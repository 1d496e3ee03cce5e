"""Public paths: `/mcp` is every server the caller may reach, `/mcp/<name or UUID>` is one."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

_PATH: Final = re.compile(r"/mcp(?:/(?:(?P<server>[A-Za-z0-9_-]{1,40})/?)?)?\Z")
_RESERVED: Final = frozenset({"sse", "message"})


@dataclass(frozen=True, slots=True)
class Route:
    """A route as asked for: `server` is the name or UUID in the path, None for the aggregated route."""

    server: str | None

    @property
    def path(self) -> str:
        """The path in its one canonical spelling, for records."""
        return f"/mcp/{self.server}" if self.server else "/mcp"


@lru_cache(maxsize=256)
def find_route(path: str) -> Route | None:
    """Return the route of a path, or None for every path that is no MCP route."""
    match = _PATH.match(path)
    if match is None or match["server"] in _RESERVED:
        return None
    return Route(match["server"])
