"""`prove tamper`: whatever somebody changes in the record, `audit verify` finds it."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Final

from coatcheck.app.auditing import CHECKPOINTS_FILE
from coatcheck.core.recording.notes import PublicKey
from coatcheck.errors import ConfigError
from coatcheck.model.chain import Report
from coatcheck.ports import Clock, Entropy
from coatcheck.prove.books import key_of, verify
from coatcheck.prove.copy import Copy
from coatcheck.prove.draws import Draws
from coatcheck.prove.edits import EDITS
from coatcheck.prove.load import Callers
from coatcheck.prove.stage import CannotProve, Stage, staged
from coatcheck.prove.told import Say, Verdict
from coatcheck.store.engines.directory import DATABASE_FILE

EDITED: Final = 10_000
SHORT_EDITED: Final = 300
_SOON: Final = timedelta(seconds=1)
CALLS: Final = 24
"""Calls before, and as many after, the older copy of the store is taken."""
MOST_TOLD: Final = 20
WITHOUT_EFFECT: Final = "without effect"

Judge = Callable[[Path, PublicKey], Report]
"""Verifies the record in a data directory with the key that an auditor keeps elsewhere."""


def prove_tamper(
    clock: Clock,
    entropy: Entropy,
    say: Say,
    *,
    edits: int = EDITED,
    seed: str = "",
    keep: Path | None = None,
    judge: Judge = verify,
) -> Verdict:
    """Make a record with a gateway, edit it so many times, one edit at a time, and verify it after each.

    Raises:
        CannotProve: it came to no result.
    """
    seed = seed or entropy.token(8).hex()
    draws = Draws(seed)
    with staged(clock, entropy, keep=keep) as stage:
        copy = _record(stage)
        key = key_of(stage.data)
        sound = judge(stage.data, key)
        if not sound.sound:
            raise CannotProve(f"the record is not sound before any edit: {sound.findings[0].words}")
        say(f"a record of {sound.entries} entries and {sound.checkpoints} checkpoints, which is sound")
        done, undetected = _edit(copy, draws, edits, lambda: _seems_sound(stage.data, key, judge))
        copy.restore()
        if not judge(stage.data, key).sound:
            raise CannotProve("the record is not sound when every edit is undone")
    for name, number in done.items():
        say(f"{name}: {number} edits")
    counts = {
        "entries": sound.entries,
        "edits": edits,
        "seed": seed,
        "by_kind": done,
        "undetected": len(undetected),
    }
    return Verdict("tamper", counts, [f"not found: {words}" for words in undetected[:MOST_TOLD]])


def _edit(
    copy: Copy, draws: Draws, edits: int, seems_sound: Callable[[], bool]
) -> tuple[dict[str, int], list[str]]:
    """Make the edits, one at a time; return how many of each kind, and those that were not found.

    One that changed nothing that can be read is counted as `without effect`, and another is made for it.
    """
    done, undetected = dict.fromkeys(EDITS, 0), []
    weighed = [name for name, (weight, _) in EDITS.items() for _ in range(weight)]
    done[WITHOUT_EFFECT] = 0
    while sum(done.values()) - done[WITHOUT_EFFECT] < edits:
        name = draws.one_of(weighed)
        words = EDITS[name][1](copy, draws)
        if seems_sound():
            if copy.reads_the_same():
                name = WITHOUT_EFFECT
            else:
                undetected.append(f"{name}: {words}")
        done[name] += 1
        copy.restore()
    return done, undetected


def _seems_sound(data: Path, key: PublicKey, judge: Judge) -> bool:
    try:
        return judge(data, key).sound
    except ConfigError:
        return False  # the database cannot even be opened, and the command says so


def _record(stage: Stage) -> Copy:
    """Have a gateway write records, outcomes and changes, seal the first of them, and sign here and there."""
    stage.open()
    callers = Callers(stage.url, stage.grant, 2)
    database = stage.data / DATABASE_FILE
    stage.start()
    asyncio.run(callers.call(CALLS))
    _command(stage, "audit", "seal", "--before", (stage.clock.now() + _SOON).isoformat())
    stage.stop()
    older = database.read_bytes()
    stage.start()
    for number in range(2):
        _command(stage, "grant", "issue", f"laptop-{number}", "--to", "prover", "--all")
    asyncio.run(callers.call(CALLS))
    stage.stop()
    if len(callers.heard.acknowledged) != 2 * CALLS:
        raise CannotProve("the gateway did not answer every call")
    return Copy.of(database, older, stage.data / CHECKPOINTS_FILE)


def _command(stage: Stage, *words: str) -> None:
    command = [sys.executable, "-m", "coatcheck", *words]
    kept = {name: text for name, text in os.environ.items() if not name.startswith("COATCHECK_")}
    ended = subprocess.run(  # noqa: S603  # our own program
        [*command, "--data", str(stage.data)], env=kept, capture_output=True, timeout=60, check=False
    )
    if ended.returncode:
        raise CannotProve(
            f"`coatcheck {words[0]} {words[1]}` failed", fix=ended.stderr.decode("utf-8", "replace")[-300:]
        )
