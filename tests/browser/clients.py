"""Clients of the gateways whose pages tests look at: they call beside the page, in threads of their own."""

from __future__ import annotations

import asyncio
import threading
import time
from typing import Any, Final

import httpx2
from mcp import Client
from mcp.client.streamable_http import streamable_http_client

from browser.consoles import Console, LivedIn

WAIT_SECONDS: Final = 30.0


class Beside:
    """A real client in a thread of its own: it calls a tool again and again until a call fails."""

    def __init__(self, url: str, token: str) -> None:
        self._url = url
        self._token = token
        self.calls = 0
        self.refused_with: list[int] = []
        self.ended = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> Beside:
        """Begin, and wait until it gets answers."""
        self._thread.start()
        self.more()
        return self

    def more(self) -> None:
        """Return when another call has gone well, which began after this one was asked for."""
        before, until = self.calls, time.monotonic() + WAIT_SECONDS
        while self.calls < before + 2:
            assert time.monotonic() < until, f"the client got no answer after {before}: {self.refused_with}"
            time.sleep(0.01)

    def _run(self) -> None:
        try:
            asyncio.run(self._call())
        except BaseException:  # noqa: BLE001 - how a client tells of a 401 is its own affair
            self.ended.set()

    async def _note(self, answer: httpx2.Response) -> None:
        if answer.status_code >= 400:
            self.refused_with.append(answer.status_code)

    async def _call(self) -> None:
        headers = {"Authorization": f"Bearer {self._token}"}
        hooks: dict[str, Any] = {"response": [self._note]}
        async with (
            httpx2.AsyncClient(headers=headers, timeout=30, event_hooks=hooks) as http,
            Client(streamable_http_client(self._url, http_client=http), mode="auto") as client,
        ):
            while True:
                answer = await client.call_tool("srv__echo", {"text": "x"})
                assert not answer.is_error
                self.calls += 1
                await asyncio.sleep(0.02)


def issue(console: Console | LivedIn, subject: str, label: str, **more: object) -> dict[str, object]:
    """Issue a grant for every server, unless `more` says otherwise; return what the API told."""
    body = {"label": label, "subject": subject, "servers": None, **more}
    told: dict[str, object] = console.ask("POST", "/grants", body)
    return told
