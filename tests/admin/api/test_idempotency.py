"""Idempotency keys: one doing for one key, however often and however close together it is asked for."""

from __future__ import annotations

import asyncio

import pytest
from starlette.responses import Response

from coatcheck.admin.api.idempotency import KEPT_SECONDS, MOST_KEYS, Answers, read_key
from coatcheck.admin.api.problems import Problem, Wrong
from doubles.clock import HandClock

ALICE = ("alice", "admin", "k1")
ASKED = ("POST", "/api/v1/grants?", b"{}")


class Maker:
    """Counts how often it was asked to make an answer."""

    def __init__(self, status: int = 201) -> None:
        self.count = 0
        self.status = status
        self.gate = asyncio.Event()
        self.gate.set()

    async def __call__(self) -> Response:
        self.count += 1
        number = self.count
        await self.gate.wait()
        return Response(b"%d" % number, self.status)


async def test_the_same_request_again_gets_the_same_answer() -> None:
    answers, make = Answers(HandClock()), Maker()
    first = await answers.once(ALICE, ASKED, make)
    again = await answers.once(ALICE, ASKED, make)
    assert (first.body, again.body, make.count) == (b"1", b"1", 1)


async def test_requests_at_once_are_done_once() -> None:
    answers, make = Answers(HandClock()), Maker()
    make.gate.clear()
    asked = [asyncio.ensure_future(answers.once(ALICE, ASKED, make)) for _ in range(20)]
    await asyncio.sleep(0)
    make.gate.set()
    assert {response.body for response in await asyncio.gather(*asked)} == {b"1"}
    assert make.count == 1


@pytest.mark.parametrize(
    "other", [("POST", "/api/v1/grants?", b"{ }"), ("POST", "/api/v1/subjects?", b"{}"), ("PUT", *ASKED[1:])]
)
async def test_a_key_is_for_one_request(other: tuple[str, str, bytes]) -> None:
    answers, make = Answers(HandClock()), Maker()
    await answers.once(ALICE, ASKED, make)
    with pytest.raises(Problem) as refused:
        await answers.once(ALICE, other, make)
    assert (refused.value.code, refused.value.status, make.count) == ("key_reused", 422, 1)


async def test_keys_are_each_operators_own() -> None:
    answers, make = Answers(HandClock()), Maker()
    await answers.once(ALICE, ASKED, make)
    assert (await answers.once(("bob", "admin", "k1"), ASKED, make)).body == b"2"


async def test_a_failure_is_not_kept() -> None:
    answers, make = Answers(HandClock()), Maker(status=409)
    await answers.once(ALICE, ASKED, make)
    assert (await answers.once(ALICE, ASKED, make)).body == b"2"

    async def fail() -> Response:
        raise Problem("taken", Wrong("x"))

    with pytest.raises(Problem):
        await answers.once(("alice", "admin", "k2"), ASKED, fail)
    assert (await answers.once(("alice", "admin", "k2"), ASKED, make)).body == b"3"


async def test_a_key_is_forgotten_in_time_and_where_there_are_too_many() -> None:
    clock = HandClock()
    answers, make = Answers(clock), Maker()
    await answers.once(ALICE, ASKED, make)
    clock.advance(KEPT_SECONDS - 1)
    assert (await answers.once(ALICE, ASKED, make)).body == b"1"
    clock.advance(2)
    assert (await answers.once(ALICE, ASKED, make)).body == b"2"
    for number in range(MOST_KEYS + 5):
        await answers.once(("alice", "admin", f"n{number}"), ASKED, make)
    assert len(answers._kept) <= MOST_KEYS


@pytest.mark.parametrize("values", [("",), ("a b",), ("x" * 201,), ("é",), ("a\n",), ("a", "b")])
def test_odd_keys_are_refused(values: tuple[str, ...]) -> None:
    assert read_key(()) is None
    assert read_key(("k-1",)) == "k-1"
    with pytest.raises(Problem) as refused:
        read_key(values)
    assert refused.value.code == "bad_key"
