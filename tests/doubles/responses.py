"""The client's side of one HTTP response, as ASGI sees it."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """One event of a stream: its id, the time it asks for, and its message (None where it has none)."""

    id: str
    retry: int | None
    message: Any


class Client:
    """Takes one response. `reading` clear: it takes nothing; `leave` hangs up."""

    def __init__(self) -> None:
        self.got: list[Any] = []
        self.reading = asyncio.Event()
        self.reading.set()
        self._left: asyncio.Queue[Any] = asyncio.Queue()

    async def send(self, message: Any) -> None:
        await self.reading.wait()
        self.got.append(message)

    async def receive(self) -> Any:
        return await self._left.get()

    def leave(self) -> None:
        self._left.put_nowait({"type": "http.disconnect"})

    @property
    def status(self) -> int:
        assert self.got[0]["type"] == "http.response.start"
        return int(self.got[0]["status"])

    @property
    def media(self) -> bytes:
        return dict(self.got[0]["headers"])[b"content-type"]  # type: ignore[no-any-return]

    @property
    def body(self) -> bytes:
        return b"".join(message.get("body", b"") for message in self.got[1:])

    @property
    def ended(self) -> bool:
        last = self.got[-1] if self.got else {"type": ""}
        return last["type"] == "http.response.body" and not last.get("more_body")

    def events(self) -> list[Any]:
        """Return the messages of a stream."""
        return [event.message for event in self.frames() if event.message is not None]

    def frames(self) -> list[Event]:
        """Return the events of a stream with what steers the client; comments are left out."""
        return [found for block in self.body.decode().split("\n\n") if (found := _read(block)) is not None]


def _read(block: str) -> Event | None:
    fields = dict(
        line.partition(": ")[::2] for line in block.split("\n") if line and not line.startswith(":")
    )
    if not fields:
        return None
    retry = fields.get("retry")
    data = fields.get("data")
    return Event(fields.get("id", ""), int(retry) if retry else None, json.loads(data) if data else None)
