"""`prove crash`: what was acknowledged is still there after `kill -9`, and after the power was cut."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck.ports import Clock, Entropy
from coatcheck.prove.books import MUST_BE_NONE, Counts, count
from coatcheck.prove.draws import Draws
from coatcheck.prove.load import Callers
from coatcheck.prove.power import Disk
from coatcheck.prove.stage import GATEWAY, CannotProve, Stage, staged
from coatcheck.prove.told import Say, Verdict

ROUNDS: Final = 20
SHORT_ROUNDS: Final = 3
CALLERS: Final = 6
FEWEST, MOST = 10, 90
"""A round ends when so many more calls were answered; how many is drawn."""
ROUND_CALLS: Final = 5_000
"""More than any round comes to; so a gateway that answers nothing ends the round as well."""

_WAYS: Final = (
    "killed",
    "killed, and every unsynced write lost",
    "killed, and each unsynced sector lost or not",
)


@dataclass(slots=True)
class _Lost:
    """What the power cuts did, over all rounds."""

    unsynced: int = 0
    lost: int = 0


def prove_crash(
    clock: Clock,
    entropy: Entropy,
    say: Say,
    *,
    rounds: int = ROUNDS,
    seed: str = "",
    keep: Path | None = None,
    program: tuple[str, ...] = GATEWAY,
) -> Verdict:
    """Kill a gateway under load so many times; every second and third time, cut its power too.

    Raises:
        CannotProve: it came to no result.
    """
    seed = seed or entropy.token(8).hex()
    draws, lost = Draws(seed), _Lost()
    with staged(clock, entropy, keep=keep, program=program) as stage:
        stage.open()
        stage.start()
        stage.stop()  # what is in the store before the first round is in one file, and synced
        callers = Callers(stage.url, stage.grant, CALLERS)
        for number in range(rounds):
            _round(stage, callers, number, draws, lost, say)
        stage.start()  # it settles what the last round left open
        code = stage.stop()
        counts = count(callers.heard, stage.seen(), stage.data)
    broken = [f"{number} {MUST_BE_NONE[name]}" for name, number in counts.broken.items()]
    broken += _proved_nothing(counts, rounds, lost)
    if code:
        broken.append(f"the gateway ended with {code}")
    told = {"rounds": rounds, "seed": seed, "unsynced_writes": lost.unsynced, "lost_writes": lost.lost}
    return Verdict("crash", {**told, **counts.told}, broken)


def _round(stage: Stage, callers: Callers, number: int, draws: Draws, lost: _Lost, say: Say) -> None:
    way = number % len(_WAYS)
    disk = Disk(stage.data)
    stage.start(diary=way > 0)
    before = len(callers.heard.acknowledged)
    asyncio.run(_load_and_kill(stage, callers, before + FEWEST + draws.below(MOST - FEWEST)))
    acknowledged = len(callers.heard.acknowledged) - before
    words = f"round {number + 1}: {_WAYS[way]}; {acknowledged} calls were answered"
    if way:
        unsynced, gone = disk.cut(stage.diary, draws if way > 1 else None)
        lost.unsynced, lost.lost = lost.unsynced + unsynced, lost.lost + gone
        words += f", {gone} of {unsynced} unsynced writes lost"
    say(words)


async def _load_and_kill(stage: Stage, callers: Callers, goal: int) -> None:
    callers.stopped = False
    load = asyncio.create_task(callers.call(ROUND_CALLS))
    while len(callers.heard.acknowledged) < goal and not load.done():  # noqa: ASYNC110  # two ends
        await asyncio.sleep(0.001)
    callers.stopped = True
    enough = len(callers.heard.acknowledged) >= goal
    stage.kill()
    await load
    if not enough:
        raise CannotProve(
            "the gateway answered too few calls", fix="run it with --keep, and read gateway.log there"
        )


def _proved_nothing(counts: Counts, rounds: int, lost: _Lost) -> Iterator[str]:
    """Say if the rounds missed what they are for, which a few may and many cannot."""
    if rounds >= len(_WAYS) * 3 and not counts.unknown:
        yield "no kill came between a record and its outcome, so nothing was there to be marked unknown"
    if rounds >= len(_WAYS) * 3 and not lost.unsynced:
        yield "no power cut found an unsynced write, so there was nothing to lose"
