"""What stands in for an upstream: calls wait for it, for a bounded time; and servers alike but for material."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from uuid import UUID

import pytest

from coatcheck.errors import Busy, UpstreamError, UpstreamUnreachable
from coatcheck.model.access import OPEN, Nature
from coatcheck.model.call import Kind, Notice, Result, Target
from coatcheck.model.credential import Replace, Upkeep, Use
from coatcheck.model.decision import Permit
from coatcheck.model.secret import Secret
from coatcheck.model.server import HttpReach, Server, StdioReach
from coatcheck.operations.reaching.held import Held
from coatcheck.operations.reaching.likeness import same_but_filled
from coatcheck.operations.reaching.served import Ourselves
from coatcheck.ports import State
from doubles.bench import CALLER, SENTRY, Bench, a_call, a_principal, decide, settle_down, unheard
from doubles.upstreams import ScriptedUpstream

OURSELVES = Ourselves(lambda notice: None)


def a_permit() -> Permit:
    decision = decide(a_call(), Target(Kind.TOOL, "find"), a_principal(), SENTRY, OPEN, Nature.READ)
    assert isinstance(decision, Permit)
    return decision


async def test_calls_wait_and_then_go_on() -> None:
    held, real = Held(SENTRY, OURSELVES), ScriptedUpstream(SENTRY, OURSELVES)
    calls = [asyncio.ensure_future(held.forward(a_permit(), CALLER, unheard)) for _ in range(3)]
    held.attend(True)
    await held.relay(Notice("notifications/x", b"{}"))
    await settle_down()
    assert (held.state, held.status().in_flight) == (State.STARTING, 0)
    held.release(real, owned=True)
    assert all(isinstance(reply, Result) for reply in await asyncio.gather(*calls))
    assert len(real.forwarded) == 3
    assert (real.attended, held.state) == ([True], State.READY)
    await held.close(4.0)
    assert real.drained == [4.0]


async def test_what_is_not_owned_is_not_closed() -> None:
    held, real = Held(SENTRY, OURSELVES), ScriptedUpstream(SENTRY, OURSELVES)
    held.release(real, owned=False)
    await held.close(0.0)
    assert not real.drained


async def test_who_waits_too_long_is_told_that_nothing_happened() -> None:
    held = Held(SENTRY, OURSELVES, 0.01)
    with pytest.raises(Busy, match="being restarted with another credential"):
        await held.forward(a_permit(), CALLER, unheard)
    with pytest.raises(UpstreamError):
        await held.greet()


async def test_who_waits_when_it_is_over_is_told() -> None:
    held = Held(SENTRY, OURSELVES)
    call = asyncio.ensure_future(held.forward(a_permit(), CALLER, unheard))
    await settle_down()
    await held.close(0.0)
    with pytest.raises(UpstreamUnreachable):
        await call
    assert held.state is State.STOPPED


async def test_a_server_that_cannot_run_twice_is_replaced_when_it_has_ended() -> None:
    once = replace(SENTRY, upkeep=Upkeep(Replace.RESTART))
    bench = Bench(once)
    old = bench.upstreams.of("sentry")
    ended = asyncio.Event()
    close = old.close

    async def slowly(drain: float) -> None:
        await ended.wait()
        await close(drain)

    old.close = slowly  # type: ignore[method-assign]
    bench.apply(replace(once, reach=StdioReach("sentry", (Secret("-v"),))))
    greeting = asyncio.ensure_future(bench.servers.of(once).upstream.greet())
    await settle_down()
    assert bench.upstreams.of("sentry") is old
    ended.set()
    assert await greeting
    assert bench.upstreams.of("sentry") is not old


# --- likeness -------------------------------------------------------------------------------------------------

USE = Use("headers/Authorization", UUID(int=5), "key", 1)
URL = HttpReach(
    Secret("https://a.test/"), "https://a.test/", {"Authorization": Secret("one"), "X": Secret("x")}
)
ONE = Server(UUID(int=4), "a", URL, uses=(USE,))


def test_material_alone_makes_no_other_server() -> None:
    other = replace(URL, headers={**URL.headers, "Authorization": Secret("two")})
    two = replace(ONE, reach=other, uses=(replace(USE, number=2),))
    assert two != ONE
    assert same_but_filled(ONE, two)


@pytest.mark.parametrize(
    "other",
    [
        replace(ONE, reach=replace(URL, headers={**URL.headers, "X": Secret("y")})),
        replace(ONE, reach=replace(URL, url=Secret("https://b.test/"))),
        replace(ONE, uses=(replace(USE, credential=UUID(int=6)),)),
        replace(ONE, uses=()),
        replace(ONE, lacking="something"),
        replace(ONE, name="b"),
    ],
    ids=["header", "url", "credential", "no use", "lacking", "name"],
)
def test_anything_else_does(other: Server) -> None:
    assert same_but_filled(ONE, ONE)
    assert not same_but_filled(ONE, other)
