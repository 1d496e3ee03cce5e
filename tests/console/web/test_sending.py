"""Files are closed when they end: also when whoever asked is gone before the first piece is read."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from coatcheck.console.web.sending import SentFile, closed_at_the_end


class File:
    """A file of two pieces that tells whether it was closed."""

    def __init__(self) -> None:
        self.pieces = [b"one ", b"two"]
        self.is_closed = False

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self

    async def __anext__(self) -> bytes:
        await asyncio.sleep(0)
        if not self.pieces:
            raise StopAsyncIteration
        return self.pieces.pop(0)

    async def aclose(self) -> None:
        self.is_closed = True


class Client:
    """Takes what is sent; breaks when it got `most` messages, and leaves at once if it is told to."""

    def __init__(self, most: int = 100, *, leaves: bool = False) -> None:
        self.got: list[Any] = []
        self._most = most
        self._leaves = leaves

    async def receive(self) -> Any:
        if not self._leaves:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(self, message: Any) -> None:
        if len(self.got) >= self._most:
            raise OSError("gone")
        self.got.append(message)

    async def take(self, file: File, spec: str = "2.3") -> None:
        scope = {"type": "http", "method": "GET", "asgi": {"version": "3.0", "spec_version": spec}}
        await SentFile(file)(scope, self.receive, self.send)


async def test_a_file_that_was_sent_is_closed() -> None:
    file, client = File(), Client()
    await client.take(file)
    assert b"".join(one.get("body", b"") for one in client.got) == b"one two"
    assert file.is_closed


@pytest.mark.parametrize("spec", ["2.3", "2.4"])
@pytest.mark.parametrize("most", [0, 1, 2])
async def test_a_file_is_closed_when_its_client_breaks(spec: str, most: int) -> None:
    file, client = File(), Client(most)
    with pytest.raises(Exception):  # noqa: B017, PT011 - which one is up to the server
        await client.take(file, spec)
    assert file.is_closed


async def test_a_file_is_closed_when_its_client_leaves_before_it_is_read() -> None:
    file, client = File(), Client(leaves=True)
    await client.take(file)
    assert (file.is_closed, file.pieces) == (True, [b"one ", b"two"])


async def test_what_cannot_be_closed_needs_not_be() -> None:
    class Plain:
        def __aiter__(self) -> Any:
            return self

    async with closed_at_the_end(Plain()) as lent:
        assert isinstance(lent, Plain)
