"""`prove audit`: no record, no call; no outcome, no answer; whatever is wrong with the disk."""

from __future__ import annotations

import asyncio
import socket
import sqlite3
import sys
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from coatcheck.ports import Clock, Entropy
from coatcheck.prove.books import MUST_BE_NONE, count
from coatcheck.prove.faults import Plan
from coatcheck.prove.load import Callers
from coatcheck.prove.stage import GATEWAY, CannotProve, Stage, staged
from coatcheck.prove.told import Say, Verdict
from coatcheck.prove.vfs import Failure
from coatcheck.store.engines.directory import DATABASE_FILE

CALLERS: Final = 4
CALLS: Final = 80
SHORT_CALLS: Final = 32
EVERY: Final = {"sync": (1, 2, 3, 5, 8, 13), "write": (1, 5, 13, 29)}
SHORT_EVERY: Final = {"sync": (1, 3), "write": (1, 29)}
"""Which syncs and writes fail: every so-manyth. A transaction is one sync and several writes."""
LOCKED_CALLS: Final = CALLERS
"""Each waits for as long as the gateway waits for a lock, so they are few."""
FULL_BYTES: Final = 16_384
"""No file of the gateway may become larger than this while its disk is full."""

_FAILURES: Final = (("sync", Failure.SYNC), ("write", Failure.WRITE), ("write", Failure.FULL))
_WORDS: Final = {Failure.SYNC: "EIO", Failure.WRITE: "EIO", Failure.FULL: "ENOSPC"}


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong for a while: its name, how it begins and ends, and for how many calls."""

    name: str
    lasts: Callable[[Stage], Iterator[None]]
    calls: int


def prove_audit(
    clock: Clock,
    entropy: Entropy,
    say: Say,
    *,
    short: bool = False,
    keep: Path | None = None,
    program: tuple[str, ...] = GATEWAY,
) -> Verdict:
    """Run a gateway through every trouble, under load, with a sink that hangs all the while.

    Raises:
        CannotProve: it came to no result.
    """
    with staged(clock, entropy, keep=keep, program=program) as stage, _hung_sink() as (settings, sink):
        say("a gateway, a server that notes every call in a synced file, and a sink that never answers")
        stage.open(settings)
        stage.start()
        callers = Callers(stage.url, stage.grant, CALLERS)
        broken = [*_well(stage, callers, say, "no fault")]
        for trouble in _troubles(short):
            broken += _go_through(stage, callers, trouble, say)
        broken += _well(stage, callers, say, "no fault any more")
        if not _was_reached(sink):
            broken.append("the sink was never reached, so it did not hang")
        code = stage.stop()
        if code:
            broken.append(f"the gateway ended with {code}")
        counts = count(callers.heard, stage.seen(), stage.data)
    if not counts.seen_recorded:
        broken.append("the server could not look into the record, so it cannot tell what came first")
    broken += [f"{number} {MUST_BE_NONE[name]}" for name, number in counts.broken.items()]
    return Verdict("audit", {**counts.told, "refused": len(callers.heard.refused)}, broken)


def _troubles(short: bool) -> Iterator[Trouble]:
    calls = SHORT_CALLS if short else CALLS
    for kind, failure in _FAILURES:
        for every in (SHORT_EVERY if short else EVERY)[kind]:
            name = f"{_WORDS[failure]} at every {kind}" if every == 1 else ""
            name = name or f"{_WORDS[failure]} at one {kind} in {every}"
            yield Trouble(name, _failing(Plan(kind, every, failure)), calls)
    if sys.platform == "linux":
        yield Trouble("a full disk", _full, calls)
    yield Trouble("a database that another program has locked", _locked, LOCKED_CALLS)
    yield Trouble("a chain that another program moved", _moved, calls)


def _go_through(stage: Stage, callers: Callers, trouble: Trouble, say: Say) -> Iterator[str]:
    refused, acknowledged = len(callers.heard.refused), len(callers.heard.acknowledged)
    struck = stage.struck()
    with contextmanager(trouble.lasts)(stage):
        asyncio.run(callers.call(trouble.calls))
    stage.await_ready()
    refused = len(callers.heard.refused) - refused
    acknowledged = len(callers.heard.acknowledged) - acknowledged
    say(f"{trouble.name}: {trouble.calls} calls, {acknowledged} answered, {refused} refused")
    if not refused and stage.struck() == struck:
        yield f"{trouble.name}: it made no difference, so it proves nothing"


def _well(stage: Stage, callers: Callers, say: Say, name: str) -> Iterator[str]:
    before = len(callers.heard.acknowledged)
    asyncio.run(callers.call(SHORT_CALLS))
    stage.await_ready()
    acknowledged = len(callers.heard.acknowledged) - before
    say(f"{name}: {SHORT_CALLS} calls, {acknowledged} answered")
    if acknowledged != SHORT_CALLS:
        yield f"{name}: only {acknowledged} of {SHORT_CALLS} calls were answered"


# --- what is wrong ----------------------------------------------------------------------------------------


def _failing(plan: Plan) -> Callable[[Stage], Iterator[None]]:
    def lasts(stage: Stage) -> Iterator[None]:
        plan.write_to(stage.plan)
        try:
            yield
        finally:
            stage.plan.unlink()

    return lasts


def _full(stage: Stage) -> Iterator[None]:
    """Let no file of the gateway grow: the system fails each write beyond a size, as on a full disk."""
    import resource

    if sys.platform != "linux":  # for the types: others have no such call
        raise CannotProve("a full disk needs Linux")
    soft, hard = resource.prlimit(stage.pid, resource.RLIMIT_FSIZE)
    resource.prlimit(stage.pid, resource.RLIMIT_FSIZE, (FULL_BYTES, hard))
    try:
        yield
    finally:
        resource.prlimit(stage.pid, resource.RLIMIT_FSIZE, (soft, hard))


def _locked(stage: Stage) -> Iterator[None]:
    """Hold the lock that every writer needs, as a program does that was started on the same file."""
    connection = sqlite3.connect(stage.data / DATABASE_FILE, timeout=5, isolation_level=None)
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")
    finally:
        connection.close()


def _moved(stage: Stage) -> Iterator[None]:
    """Have the store say that its last entry is another one, as whoever writes to it could; then mend it."""
    with closing(sqlite3.connect(stage.data / DATABASE_FILE, timeout=5)) as connection:
        (hash,) = connection.execute("SELECT hash FROM chain").fetchone()
        with connection:
            connection.execute("UPDATE chain SET hash = randomblob(32)")
        yield
        with connection:
            connection.execute("UPDATE chain SET hash = ?", (hash,))


@contextmanager
def _hung_sink() -> Iterator[tuple[str, socket.socket]]:
    """Yield the settings of a webhook that takes connections and never answers, and its socket."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen(16)
        listening.settimeout(5)
        port = listening.getsockname()[1]
        lines = ["[[sinks]]", 'name = "hung"', 'kind = "webhook"', f'url = "http://127.0.0.1:{port}/"']
        yield "\n".join([*lines, 'secret = "hung-hung-hung-hung-hung-hung-hung"', ""]), listening


def _was_reached(sink: socket.socket) -> bool:
    try:
        connection, _ = sink.accept()
    except OSError:
        return False
    connection.close()
    return True
