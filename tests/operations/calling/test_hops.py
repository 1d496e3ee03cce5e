"""What the record says of the server's part of a call: credentials and versions really used, status, sizes, time."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from types import MappingProxyType
from uuid import UUID

import pytest

from coatcheck import errors
from coatcheck.model.call import Fault, Reply, Result
from coatcheck.model.credential import Use
from coatcheck.model.decision import Permit
from coatcheck.model.record import Outcome, Settlement
from coatcheck.model.server import Server, StdioReach
from coatcheck.ports import Ask
from doubles.bench import SENTRY, Bench, settle_down
from doubles.upstreams import REQUEST_BYTES
from ledgers import ended

PAT = Use("env/PAT", UUID(int=77), "pat", 3)
OTHER = Use("args/0", UUID(int=78), "other", 1)
HOLDER = replace(SENTRY, uses=(PAT, replace(PAT, place="args/1"), OTHER))
ROTATED = replace(
    HOLDER, reach=StdioReach("sentry", env=MappingProxyType({})), uses=(replace(PAT, number=4),)
)


def a_bench(server: Server = HOLDER, **settings: float) -> Bench:
    bench = Bench(server, **settings)  # type: ignore[arg-type]
    bench.upstreams.of("sentry").offer(Ask.TOOLS, ["find"])
    return bench


def outcome_of(bench: Bench) -> Settlement:
    return ended(bench.entries[-1])


async def test_a_call_that_ends_well() -> None:
    bench = a_bench()

    async def answer(permit: Permit) -> Reply:
        bench.clock.advance(0.5)
        return Result(b'{"content":[]}')

    bench.upstreams.of("sentry").answer = answer
    await bench.perform(server=HOLDER)
    record, settlement = bench.entries[-1].record, outcome_of(bench)
    assert record.credentials == settlement.credentials == ("pat@3", "other@1")
    assert (settlement.request_bytes, settlement.upstream_status) == (REQUEST_BYTES, 200)
    assert settlement.answer_bytes == len(b'{"content":[]}')
    assert settlement.upstream_seconds == settlement.seconds == 0.5


@pytest.mark.parametrize(
    ("reply", "size"), [(Result(b"{}"), 2), (Fault(-32000, "no \u00e9"), 5), (Fault(-1, "no", b"[1]"), 5)]
)
async def test_the_size_is_that_of_what_came(reply: Reply, size: int) -> None:
    bench = a_bench()

    async def answer(permit: Permit) -> Reply:
        return reply

    bench.upstreams.of("sentry").answer = answer
    await bench.perform(server=HOLDER)
    assert outcome_of(bench).answer_bytes == size


@pytest.mark.parametrize(
    ("error", "used"),
    [
        (errors.UpstreamUnreachable, ()),
        (errors.UpstreamForbidden, ()),
        (errors.Busy, ()),
        (errors.UpstreamLost, ("pat@3", "other@1")),
        (errors.UpstreamBadReply, ("pat@3", "other@1")),
        (errors.UpstreamCredentialRefused, ("pat@3", "other@1")),
        (errors.UpstreamTimeout, ("pat@3", "other@1")),
    ],
)
async def test_who_was_not_reached_was_given_nothing(
    error: type[errors.CoatcheckError], used: tuple[str, ...]
) -> None:
    bench = a_bench()
    await bench.perform(server=HOLDER)

    async def answer(permit: Permit) -> Reply:
        raise error("it fails")

    bench.upstreams.of("sentry").answer = answer
    await bench.perform(server=HOLDER)
    settlement = outcome_of(bench)
    assert settlement.outcome is not Outcome.OK
    assert settlement.credentials == used
    assert settlement.request_bytes == (REQUEST_BYTES if used else 0)
    assert bench.entries[-1].record.credentials == ("pat@3", "other@1")


async def test_a_version_that_was_refused_and_the_one_after_it_are_both_told() -> None:
    bench = a_bench()
    await bench.perform(server=HOLDER)
    first = bench.upstreams.of("sentry")

    async def refuse(permit: Permit) -> Reply:
        bench.apply(ROTATED)
        bench.upstreams.of("sentry").offer(Ask.TOOLS, ["find"])
        raise errors.UpstreamCredentialRefused("it refuses")

    first.answer = refuse
    await bench.perform(server=HOLDER)
    settlement = outcome_of(bench)
    assert settlement.outcome is Outcome.OK
    assert settlement.credentials == ("pat@3", "other@1", "pat@4")
    assert bench.entries[-1].record.credentials == ("pat@3", "other@1")


@pytest.mark.parametrize("way", ["cancelled", "late", "broken"])
async def test_a_call_that_does_not_end_says_what_was_given_too(way: str) -> None:
    bench = a_bench(timeout=0.05 if way == "late" else 5.0)
    await bench.perform(server=HOLDER)
    upstream = bench.upstreams.of("sentry")

    async def break_down(permit: Permit) -> Reply:
        bench.clock.advance(0.5)
        raise ZeroDivisionError

    if way == "broken":
        upstream.answer = break_down
        with pytest.raises(ZeroDivisionError):
            await bench.perform(server=HOLDER)
    else:
        upstream.hold()
        task = asyncio.create_task(bench.perform(server=HOLDER))
        await settle_down()
        bench.clock.advance(0.5)
        if way == "cancelled":
            task.cancel()
        await asyncio.wait([task])
    settlement = outcome_of(bench)
    outcomes = {"cancelled": Outcome.CANCELLED, "late": Outcome.TIMEOUT, "broken": Outcome.UNKNOWN}
    assert settlement.outcome is outcomes[way]
    assert settlement.credentials == ("pat@3", "other@1")
    assert (settlement.request_bytes, settlement.answer_bytes) == (REQUEST_BYTES, 0)
    assert settlement.upstream_seconds == 0.5
