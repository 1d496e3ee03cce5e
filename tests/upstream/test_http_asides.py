"""Messages on the side: a few at once, a bounded number at hand, and room kept for those that matter."""

from __future__ import annotations

import asyncio

from coatcheck.errors import UpstreamLost
from coatcheck.upstream.http.hop.asides import AsideLimits, Asides


async def test_a_few_go_at_once_and_too_many_are_dropped() -> None:
    gate = asyncio.Event()
    started: list[int] = []
    sent: list[int] = []

    def sending(number: int) -> object:
        async def send() -> None:
            started.append(number)
            await gate.wait()
            sent.append(number)

        return send

    asides = Asides(AsideLimits(most=10, at_once=3))
    for number in range(8):
        asides.send(sending(number), minor=True)  # type: ignore[arg-type]
    await asyncio.sleep(0.01)
    assert started == [0, 1, 2]
    assert asides.dropped == 3
    for number in range(100, 108):
        asides.send(sending(number))  # type: ignore[arg-type]
    assert asides.dropped == 6
    gate.set()
    await asides.end(5)
    assert sent == [0, 1, 2, 3, 4, 100, 101, 102, 103, 104]


async def test_what_fails_or_hangs_hinders_no_other() -> None:
    sent: list[str] = []

    async def fail() -> None:
        raise UpstreamLost("weather is gone")

    async def hang() -> None:
        await asyncio.sleep(60)

    async def good() -> None:
        sent.append("good")

    asides = Asides(AsideLimits(at_once=1, patience=0.05))
    for sending in (fail, hang, good):
        asides.send(sending)
    await asides.end(5)
    assert sent == ["good"]


async def test_the_end_does_not_wait_for_ever() -> None:
    cancelled: list[bool] = []

    async def hang() -> None:
        try:
            await asyncio.sleep(60)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    asides = Asides(AsideLimits())
    asides.send(hang)
    await asides.end(0.01)
    await asyncio.sleep(0)
    assert cancelled == [True]
