"""Callers of a gateway under proof: each call has a mark of its own, and what was answered is kept."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any, Final

import httpx2

from coatcheck.prove.server import TOOL

ERA: Final = "2026-07-28"
ANSWER_SECONDS: Final = 30.0
_META: Final = {
    "io.modelcontextprotocol/protocolVersion": ERA,
    "io.modelcontextprotocol/clientCapabilities": {},
}


@dataclass(slots=True)
class Heard:
    """What the callers know. `acknowledged` has the receipt of each call that was answered with its result.

    `refused` were answered with anything else, and `unanswered` not at all.
    """

    asked: set[str] = field(default_factory=set)
    acknowledged: dict[str, str] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    unanswered: set[str] = field(default_factory=set)


class Callers:
    """Several callers at once. Marks are numbered through, whatever number of loads there is."""

    def __init__(self, url: str, grant: str, callers: int) -> None:
        self.heard = Heard()
        self.stopped = False
        self._url = url
        self._callers = callers
        self._number = 0
        self._headers = {
            "Authorization": f"Bearer {grant}",
            "Content-Type": "application/json",
            "Accept": "application/json, text/event-stream",
            "MCP-Protocol-Version": ERA,
            "Mcp-Method": "tools/call",
            "Mcp-Name": TOOL,
        }

    async def call(self, count: int) -> None:
        """Make so many calls in all, or fewer if `stopped` is set meanwhile."""
        last = self._number + count
        limits = httpx2.Limits(max_connections=self._callers)
        async with httpx2.AsyncClient(
            headers=self._headers, timeout=ANSWER_SECONDS, limits=limits, trust_env=False
        ) as client:
            await asyncio.gather(*(self._caller(client, last) for _ in range(self._callers)))

    async def _caller(self, client: httpx2.AsyncClient, last: int) -> None:
        while self._number < last and not self.stopped:
            self._number += 1
            await self._one(client, f"mark-{self._number}")

    async def _one(self, client: httpx2.AsyncClient, mark: str) -> None:
        heard = self.heard
        heard.asked.add(mark)
        params = {"name": TOOL, "arguments": {"mark": mark}, "_meta": _META}
        body = {"jsonrpc": "2.0", "id": mark, "method": "tools/call", "params": params}
        try:
            answer = await client.post(self._url, json=body)
            told: Any = answer.json()
        except (httpx2.HTTPError, ValueError):
            heard.unanswered.add(mark)
            await asyncio.sleep(0.01)  # the gateway is gone: no use in spinning
            return
        if answer.status_code == httpx2.codes.OK and _has_result(told, mark):
            heard.acknowledged[mark] = answer.headers.get("Coatcheck-Receipt", "")
        else:
            heard.refused[mark] = answer.status_code


def _has_result(told: Any, mark: str) -> bool:
    try:
        return bool(told["id"] == mark and told["result"]["content"][0]["text"] == mark)
    except (KeyError, IndexError, TypeError):
        return False
