"""Reading a body from a client that sends it in parts, late, never or too much of it."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from coatcheck.mcp import bodies
from coatcheck.mcp.bodies import DRAIN_FACTOR, read_body
from coatcheck.mcp.outlets import Whole
from coatcheck.mcp.refusing import Reject

LIMIT = 100


class Sender:
    """Hands out parts of a body; then ends it, hangs up or says nothing more."""

    def __init__(self, *parts: bytes, then: str = "end") -> None:
        self.messages: list[Any] = [
            {"type": "http.request", "body": part, "more_body": True} for part in parts
        ]
        if then == "end":
            self.messages.append({"type": "http.request", "body": b"", "more_body": False})
        elif then == "leave":
            self.messages.append({"type": "http.disconnect"})
        self.taken = 0

    async def __call__(self) -> Any:
        if not self.messages:
            await asyncio.Event().wait()
        message = self.messages.pop(0)
        self.taken += len(message.get("body", b""))
        return message


async def refused(sender: Sender, headers: dict[str, tuple[str, ...]]) -> Reject:
    with pytest.raises(Reject) as caught:
        await read_body(sender, headers, LIMIT)
    return caught.value


@pytest.mark.parametrize(
    "parts",
    [(), (b"",), (b"a" * LIMIT,), (b"a" * 50, b"b" * 50), tuple(b"%d" % (n % 10) for n in range(LIMIT))],
)
async def test_a_body_up_to_the_limit_is_whole(parts: tuple[bytes, ...]) -> None:
    assert await read_body(Sender(*parts), {}, LIMIT) == b"".join(parts)


async def test_a_body_announced_as_too_large_is_read_out_before_it_is_refused() -> None:
    sender = Sender(b"a" * LIMIT, b"a")
    reject = await refused(sender, {"content-length": ("101",)})
    assert (reject.status, sender.taken) == (413, 101)
    assert (b"connection", b"close") in reject.headers


async def test_what_is_far_too_large_or_waits_to_be_asked_for_is_not_read_at_all() -> None:
    for headers in (
        {"content-length": (str(LIMIT * DRAIN_FACTOR + 1),)},
        {"content-length": ("101",), "expect": ("100-continue",)},
    ):
        sender = Sender(b"a" * 1000)
        assert (await refused(sender, headers)).status == 413  # type: ignore[arg-type]
        assert sender.taken == 0


async def test_a_body_that_grows_too_large_is_read_out_up_to_a_bound() -> None:
    sender = Sender(*[b"a" * 60] * 100)
    assert (await refused(sender, {})).status == 413
    assert LIMIT < sender.taken <= DRAIN_FACTOR * LIMIT + 60


async def test_reading_out_takes_a_short_while_only(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "DRAIN_SECONDS", 0.01)
    sender = Sender(b"a", then="silence")
    assert (await refused(sender, {"content-length": ("101",)})).status == 413


async def test_a_body_that_does_not_come_is_408(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(bodies, "BODY_SECONDS", 0.01)
    reject = await refused(Sender(b"a", then="silence"), {"content-length": ("50",)})
    assert reject.status == 408
    assert reject.recorded


async def test_a_client_that_leaves_in_the_middle_is_counted_only() -> None:
    reject = await refused(Sender(b"a", then="leave"), {"content-length": ("50",)})
    assert not reject.recorded


class Arrived(Whole):
    """A body that has come whole, and one receive after which nothing more ever comes."""

    def __init__(self, body: bytes | None) -> None:
        self.body = body

    def whole(self) -> bytes | None:
        return self.body

    async def __call__(self) -> Any:
        if self.body is not None:
            await asyncio.Event().wait()
        return {"type": "http.request", "body": b"later", "more_body": False}


async def test_a_body_that_has_come_whole_is_not_waited_for() -> None:
    assert await read_body(Arrived(b"a" * LIMIT), {"content-length": (str(LIMIT),)}, LIMIT) == b"a" * LIMIT
    assert await read_body(Arrived(b""), {}, LIMIT) == b""
    assert await read_body(Arrived(None), {}, LIMIT) == b"later"


@pytest.mark.parametrize("headers", [{}, {"content-length": ("101",)}])
async def test_a_body_that_has_come_whole_has_the_same_limit(headers: dict[str, tuple[str, ...]]) -> None:
    with pytest.raises(Reject) as caught:
        await read_body(Arrived(b"a" * (LIMIT + 1)), headers, LIMIT)
    assert caught.value.status == 413
