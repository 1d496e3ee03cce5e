"""`coatcheck prove audit`, `crash` and `tamper`: the promises, tried on this machine."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.exits import Exit
from coatcheck.cli.options import Command

if TYPE_CHECKING:
    from coatcheck.prove.told import Verdict


def _proof(command: Command) -> Command:
    """Give a proof `--short`, `--keep` and `--json`; it gets the first two, and its verdict is told."""

    @click.option("--short", is_flag=True, help="Less of it, for every build.")
    @click.option(
        "--keep",
        metavar="DIR",
        type=click.Path(path_type=Path),
        help="Make it in DIR, which must not be there yet, and leave it: the store, logs and what was noted.",
    )
    @click.option("--json", "as_json", is_flag=True, help="JSON.")
    @functools.wraps(command)
    def told(as_json: bool, **rest: Any) -> int:
        verdict: Verdict = command(**rest)
        if as_json:
            show.put_json(verdict.told())
        else:
            _put(verdict)
        return Exit.DONE if verdict.holds else Exit.NO

    return told


_seed = click.option("--seed", metavar="TEXT", default="", help="Draw what an earlier run drew.")


@click.command(
    "audit",
    short_help="No record, no call: with a disk that fails.",
    epilog=options.example("coatcheck prove audit", "coatcheck prove audit --short --json"),
)
@_proof
def audit(short: bool, keep: Path | None) -> Verdict:
    """Run a gateway on a disk that fails, and count calls without a record and answers without an outcome.

    Syncs and writes fail with EIO and ENOSPC, the disk is full, the database locked; a sink hangs all along.
    Two minutes, with --short half a minute.
    """
    from coatcheck.app.real import SystemClock, SystemEntropy
    from coatcheck.prove.audit import prove_audit

    return prove_audit(SystemClock(), SystemEntropy(), show.say, short=short, keep=keep)


@click.command(
    "crash",
    short_help="What was acknowledged is still there after a crash.",
    epilog=options.example("coatcheck prove crash", "coatcheck prove crash --rounds 100"),
)
@click.option("--rounds", type=click.IntRange(1, 1000), help="How many times; 20, with --short 3.")
@_seed
@_proof
def crash(rounds: int | None, seed: str, short: bool, keep: Path | None) -> Verdict:
    """Kill a gateway under load again and again, cut its power as well, and look for what was acknowledged.

    A power cut loses what was not synced: all of it, or any part. A minute, with --short 15 seconds.
    """
    from coatcheck.app.real import SystemClock, SystemEntropy
    from coatcheck.prove.crash import ROUNDS, SHORT_ROUNDS, prove_crash

    many = rounds or (SHORT_ROUNDS if short else ROUNDS)
    return prove_crash(SystemClock(), SystemEntropy(), show.say, rounds=many, seed=seed, keep=keep)


@click.command(
    "tamper",
    short_help="Whatever is changed in the record is found.",
    epilog=options.example("coatcheck prove tamper", "coatcheck prove tamper --edits 50000"),
)
@click.option(
    "--edits",
    type=click.IntRange(1, 1_000_000),
    help="How many edits, one at a time; 10000, with --short 300.",
)
@_seed
@_proof
def tamper(edits: int | None, seed: str, short: bool, keep: Path | None) -> Verdict:
    """Change a record in thousands of ways, one at a time, and count what `audit verify` does not find.

    Bytes, columns, numbers, deletions, insertions, swaps, truncations, chains made anew, older files.
    Ten minutes, with --short 20 seconds.
    """
    from coatcheck.app.real import SystemClock, SystemEntropy
    from coatcheck.prove.tamper import EDITED, SHORT_EDITED, prove_tamper

    many = edits or (SHORT_EDITED if short else EDITED)
    return prove_tamper(SystemClock(), SystemEntropy(), show.say, edits=many, seed=seed, keep=keep)


def _put(verdict: Verdict) -> None:
    for name, count in verdict.counts.items():
        if not isinstance(count, dict):
            show.put(f"{name.replace('_', ' '):<26} {count}")
    for words in verdict.broken:
        show.put(f"BROKEN: {show.clean_line(words)}")
    show.put(f"prove {verdict.proof}: {'holds' if verdict.holds else 'DOES NOT HOLD'}")
