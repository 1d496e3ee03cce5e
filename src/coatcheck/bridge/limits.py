"""What the bridge holds and waits for at most."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Final

MIB: Final = 1024**2


@dataclass(frozen=True, slots=True)
class Limits:
    """Bytes: `body`, the longest message of the client, `reply`, the longest of the gateway. `requests` at
    once. The rest is seconds: `wait` for a gateway that does not answer, `connect` for one connection,
    `silence` before and within an answer (a gateway breaks it every 15), `drain` for answers after the
    client's last line, `goodbye` for the end.
    """

    body: int = 16 * MIB
    reply: int = 64 * MIB
    requests: int = 128
    wait: float = 30.0
    connect: float = 10.0
    silence: float = 120.0
    drain: float = 10.0
    goodbye: float = 1.0


class Patience:
    """Pauses between attempts, from `least` to `most` seconds, each twice the last, until a time is up."""

    def __init__(self, seconds: float, least: float = 0.2, most: float = 2.0) -> None:
        self._until = asyncio.get_running_loop().time() + seconds
        self._next = least
        self._most = most

    async def pause(self) -> bool:
        """Wait for the next attempt; return False at once if there is no time left for one."""
        left = self._until - asyncio.get_running_loop().time()
        if left <= 0:
            return False
        await asyncio.sleep(min(self._next, left))
        self._next = min(self._most, self._next * 2)
        return True
