"""Replays recorded calls by the rules in force with one policy changed, before it is put."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Final

from coatcheck.core.access.rules import Rules, policies_of
from coatcheck.core.policy.limits.windows import reach_of
from coatcheck.core.policy.trying.replaying import Changed, Comparison, Many, Print
from coatcheck.errors import Unfit
from coatcheck.model.policy import Policy
from coatcheck.model.reading import Stretch
from coatcheck.model.record import Record, RecordEntry, RecordFilter
from coatcheck.model.stored_policy import PolicyUse, StoredPolicy
from coatcheck.operations.calling.limiting import longest_window
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.policies.policies import policy_of
from coatcheck.operations.policies.rehearsing import LeftOut, Rehearsal, Tools
from coatcheck.operations.policies.showing import use_views, uses_of, words_of
from coatcheck.operations.policies.using import Place, former_uses, use_of
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.registry.serving.servers import Probe
from coatcheck.ports import Reading

MOST_ENTRIES: Final = 1_000_000
"""Entries of the record that are looked through, the newest: a call has two."""
PAGE: Final = 500
_TURN: Final = 0.002
"""Seconds of judging after which others have their turn; a slow policy takes some 50 ms for one call."""
LONGEST: Final = 1_800.0
"""Seconds that a replay may take, its wait for others among it: only the console can stop one."""
_ALWAYS: Final = datetime.min.replace(tzinfo=UTC)

Open = Callable[[Record], str | None]
"""Returns the values of arguments that are sealed in a record, as JSON; None for none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayQuestion:
    """A policy that might be put under a name, and the calls to judge by it.

    `place` None: where the policy of that name is used now. `until` is the first time after the calls; `most`
    is how many changes are told. No more than the newest `entries` of the record are looked through, and it
    takes no more than `seconds`, its wait for others among them.
    """

    name: str
    document: object
    place: Place | None = None
    since: datetime | None = None
    until: datetime | None = None
    most: int = 100
    entries: int = MOST_ENTRIES
    seconds: float = LONGEST


@dataclass(frozen=True, slots=True)
class Replay:
    """What would have come of recorded calls.

    `used_on` says in words where the policy was taken to be used. `back_to` is the time of the oldest call
    that was looked at. `cut`: there are older ones in the time that was asked for; `sealed`: some may be in
    files of sealed parts. `changes` are the largest groups, and `untold` how many calls are in no group that
    is told. `failing` are servers, with their errors, whose tools nobody knows.
    """

    name: str
    used_on: tuple[str, ...]
    comparison: Comparison
    left_out: dict[LeftOut, int]
    changes: Sequence[tuple[Changed, Many]]
    untold: int
    back_to: datetime | None
    cut: bool
    sealed: bool
    failing: Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Progress:
    """How many entries of the record were looked through, and how many there are to look through."""

    looked: int
    of: int


Note = Callable[[Progress], None]
"""Hears how far a replay is."""


class Replays:
    """Replays, one after the other; nothing is forwarded, and nothing written."""

    def __init__(
        self, desk: Desk, probe: Probe, reading: Reading, open_values: Open, print_of: Print
    ) -> None:
        self._desk = desk
        self._probe = probe
        self._reading = reading
        self._open = open_values
        self._print_of = print_of
        self._turn = asyncio.Lock()

    async def replay(self, asked: ReplayQuestion, note: Note = lambda _: None) -> Replay:
        """Judge the calls of a time as if a policy had been in force.

        `note` hears how far it is as soon as it is its turn, and from time to time after that.

        Raises:
            BadPolicy: the document is no policy of that name; `problems` has all that is wrong.
            Missing: no such grant or server to use it on.
            Unfit: it is used on nothing, or on what cannot be.
            Unfit: it took too long, or others before it did.
            LedgerUnavailable: the record cannot be read.
        """
        policy = policy_of(asked.name, asked.document)
        most = min(asked.seconds, LONGEST)
        try:
            async with asyncio.timeout(most):
                return await self._replay(asked, policy, note)
        except TimeoutError:
            said = f"the replay took longer than {most:g} s, with those that were asked for before it"
            raise Unfit(said, fix="ask about a shorter time") from None

    async def _replay(self, asked: ReplayQuestion, policy: Policy, note: Note) -> Replay:
        async with self._turn:
            snapshot = self._desk.snapshot
            uses, rules, longest = self._changed(snapshot, asked, policy)
            views, failing = await self._probe.tools(None)
            rehearsal = Rehearsal(snapshot, rules, Tools(views, failing), self._open, self._print_of)
            stretch, start = await self._stretch(asked, longest)

            def far(position: int) -> None:
                note(Progress(max(0, position - start), max(0, stretch.through - start)))

            far(start)
            back_to = await self._judge(rehearsal, asked, longest, start, far)
        changes = rehearsal.comparison.largest(asked.most)
        changed = sum(many.calls for many in rehearsal.comparison.groups.values())
        return Replay(
            policy.name,
            tuple(map(words_of, use_views(snapshot, uses))),
            rehearsal.comparison,
            rehearsal.left_out,
            changes,
            changed + rehearsal.comparison.ungrouped - sum(many.calls for _, many in changes),
            back_to,
            start > stretch.after,
            stretch.sealed,
            failing,
        )

    def _changed(
        self, snapshot: Snapshot, asked: ReplayQuestion, policy: Policy
    ) -> tuple[list[PolicyUse], Rules, timedelta]:
        """Return where the policy would be used, the rules with it, and how far back limits count."""
        now = self._desk.now()
        stored = {**snapshot.registry.policies, policy.name: StoredPolicy(policy.name, policy, now, "")}
        uses = dict(snapshot.registry.policy_uses)
        if asked.place is not None:
            wanted = use_of(snapshot, policy.name, asked.place, now, "")
            for former in former_uses(snapshot, wanted):
                del uses[former.key]
            uses[wanted.key] = wanted
            mine = [wanted]
        else:
            mine = uses_of(snapshot, policy.name)
        if not mine:
            raise Unfit(
                f"the policy {policy.name!r} is used on nothing now",
                fix="say where it would be used: --everything, --role, --grant or --server",
            )
        made, _ = policies_of(stored, uses.values(), {})
        longest = longest_window(one.policy for one in stored.values())
        nanoseconds = 0 if longest is None else reach_of(longest)
        return mine, Rules(snapshot.access, made), timedelta(microseconds=nanoseconds // 1_000)

    async def _stretch(self, asked: ReplayQuestion, longest: timedelta) -> tuple[Stretch, int]:
        """Return the part of the record that is asked about, and the entry after which to begin."""
        wanted = RecordFilter(since=_before(asked.since, longest), until=asked.until)
        stretch = await self._reading.stretch(wanted)
        if stretch.whole and stretch.before:
            stretch = replace(stretch, after=0)  # calls from before there was a chain
        return stretch, max(stretch.after, stretch.through - min(asked.entries, MOST_ENTRIES))

    async def _judge(
        self,
        rehearsal: Rehearsal,
        asked: ReplayQuestion,
        longest: timedelta,
        start: int,
        far: Callable[[int], None],
    ) -> datetime | None:
        """Judge all calls from an entry on; return the time of the first that was asked about."""
        wanted = RecordFilter(since=_before(asked.since, longest), until=asked.until)
        since, back_to = asked.since or _ALWAYS, None
        async for entry in self._entries(wanted, start, far):
            told = entry.record.at >= since
            if told and back_to is None:
                back_to = entry.record.at
            rehearsal.take(entry, told=told)
        return back_to

    async def _entries(
        self, wanted: RecordFilter, after: int, far: Callable[[int], None]
    ) -> AsyncIterator[RecordEntry]:
        """Yield calls in their order; between them others have their turn."""
        loop = asyncio.get_running_loop()
        while page := await self._reading.held(wanted, after, PAGE):
            until = loop.time() + _TURN
            for held in page:
                yield held.entry
                if loop.time() >= until:
                    await asyncio.sleep(0)
                    until = loop.time() + _TURN
            after = page[-1].entry.position
            far(after)


def _before(since: datetime | None, longest: timedelta) -> datetime | None:
    """Return from when on calls count for limits of the calls that are asked about."""
    if since is None:
        return None
    return since - longest if since - _ALWAYS > longest else _ALWAYS
