"""Exports of the record, as chained JSON Lines, CSV or CEF, made page by page in constant memory."""

from __future__ import annotations

import json
import logging
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from dataclasses import replace
from enum import StrEnum
from typing import Any, Final

from coatcheck.core.copies.cef import cef_of
from coatcheck.core.recording import tables_of_records
from coatcheck.core.recording.calls import Calls
from coatcheck.core.recording.chain import Judge, begin
from coatcheck.core.recording.exported import checkpoint_line, entry_line, first_line, first_line_of_part
from coatcheck.model.chain import Beginning, Checkpoint, Finding, FindingKind
from coatcheck.model.reading import Held, Stretch, Wanted
from coatcheck.model.record import RecordFilter
from coatcheck.model.sink import Copy
from coatcheck.ports import Reading

log = logging.getLogger(__name__)

_EVERYTHING: Final = RecordFilter()
PAGE: Final = 500
"""Calls read at a time."""


class ExportFormat(StrEnum):
    """How an export is written. `jsonl` has the chain, and changes by operators beside the calls."""

    JSONL = "jsonl"
    CSV = "csv"
    CEF = "cef"


Tell = Callable[[Finding], None]
"""Takes what an export meets that is not as it was written."""


class Exports:
    """Makes exports. `sign` makes a checkpoint of where the chain stands, which proves the last entry.

    What is exported is found by what the entries say themselves. What in the store says otherwise is told to
    `alarm` in a sentence, once for each export.
    """

    def __init__(
        self,
        reading: Reading,
        sign: Callable[[], Awaitable[Checkpoint]],
        alarm: Callable[[str], None] = lambda words: log.error("ALARM: %s", words),
    ) -> None:
        self.reading = reading
        self.sign = sign
        self._alarm = alarm

    async def pieces(self, wanted: RecordFilter, form: ExportFormat) -> AsyncIterator[bytes]:
        """Yield an export, about a page at a time.

        Raises:
            LedgerUnavailable: the record cannot be read; what was yielded is not whole then.
        """
        doubts = _Doubts()
        try:
            if form is ExportFormat.JSONL:
                stretch = await self.reading.stretch(wanted)
                await self.sign()
                async for piece in self.part(stretch, wanted, tell=doubts.take):
                    yield piece
                return
            if form is ExportFormat.CSV:
                yield tables_of_records.header()
            row = tables_of_records.row_of if form is ExportFormat.CSV else _cef
            async for calls in self.calls(await self.reading.stretch(wanted), wanted, doubts.take):
                yield b"".join(map(row, calls))
        finally:
            self.warn(doubts.words)

    def warn(self, words: str) -> None:
        """Tell what an export met, if it met something."""
        if words:
            self._alarm(words)

    async def part(
        self,
        stretch: Stretch,
        wanted: RecordFilter = _EVERYTHING,
        about: Set[str] = frozenset(),
        *,
        judged: bool = False,
        tell: Tell = lambda _: None,
    ) -> AsyncIterator[bytes]:
        """Yield a part of the chain so that it can be proven by itself.

        Of its entries, those are whole that a filter means; the others are there with their digest alone.
        `about` has names and ids of objects whose changes are wanted too. After the last one come as many as
        there are up to the next checkpoint, so that it is proven as well. `judged` has the columns compared
        with every entry even if no filter leaves any out.
        """
        yield _line(_first(stretch))
        signed = _Signed(self.reading, stretch.after)
        after = stretch.after
        while after < stretch.through:
            page, after = await self.reading.links(after, stretch.through, wanted, about, judged=judged)
            lines = []
            for one in page:
                _tell_odd(one, tell)
                lines.append(_line(entry_line(one.link, leave_out=not one.asked, odd=one.odd)))
                lines += await signed.at(one.link.seq)
            yield b"".join(lines)
        async for piece in self._to_the_next(after, await signed.next(after)):
            yield piece

    async def _to_the_next(self, after: int, proof: Checkpoint | None) -> AsyncIterator[bytes]:
        if proof is None:
            return
        while after < proof.seq:
            page, after = await self.reading.links(after, proof.seq, None)
            yield b"".join(_line(entry_line(one.link, leave_out=True)) for one in page)
        yield _line(checkpoint_line(proof))

    async def calls(self, stretch: Stretch, wanted: RecordFilter, tell: Tell) -> AsyncIterator[list[Held]]:
        """Yield the calls of a part that a filter means, in the order of their outcomes; those without, last.

        Calls from before there was a chain come first.
        """
        async for older in self._older(stretch, wanted):
            yield older
        judge = Judge(Beginning(stretch.log, stretch.after, 0, stretch.prev))
        calls, after = Calls(wanted.since, wanted.until), stretch.after
        while after < stretch.through:
            page, after = await self.reading.links(after, stretch.through, wanted, judged=True)
            ended: list[Held] = []
            for one in page:
                if (finding := judge.feed(one.link)) is not None:
                    tell(finding)
                _tell_odd(one, tell)
                if one.asked:
                    ended += _taken(calls, one)
            yield ended
        yield calls.rest()

    async def _older(self, stretch: Stretch, wanted: RecordFilter) -> AsyncIterator[list[Held]]:
        """Yield the calls from before the chain; nothing but their columns tells of them."""
        if not stretch.before:
            return
        wanted, after = replace(wanted, before=stretch.after + 1), 0
        while page := await self.reading.held(wanted, after, PAGE):
            after = page[-1].entry.position
            yield [one for one in page if not one.hash]


class _Doubts:
    """Counts what an export meets that is not as it was written, and remembers the first of it."""

    def __init__(self) -> None:
        self._first = ""
        self._more = 0

    def take(self, finding: Finding) -> None:
        """Take one."""
        if self._first:
            self._more += 1
        else:
            self._first = finding.words

    @property
    def words(self) -> str:
        """What to tell: a sentence, or nothing."""
        more = f", and {self._more} more" if self._more else ""
        return (
            f"the record was changed: {self._first}{more}; see `coatcheck audit verify`"
            if self._first
            else ""
        )


class _Signed:
    """The checkpoints beside the chain, read a few at a time."""

    def __init__(self, reading: Reading, after: int) -> None:
        self._reading = reading
        self._after = after
        self._waiting: list[Checkpoint] = []
        self._ended = False

    async def at(self, seq: int) -> list[bytes]:
        """Return the lines of the checkpoint of an entry; entries are asked for in their order."""
        found = await self.next(seq - 1)
        return [_line(checkpoint_line(found))] if found is not None and found.seq == seq else []

    async def next(self, after: int) -> Checkpoint | None:
        """Return the first checkpoint of an entry after a number."""
        while True:
            while self._waiting and self._waiting[-1].seq <= after:
                self._waiting.pop()
            if self._waiting or self._ended:
                return self._waiting[-1] if self._waiting else None
            page = await self._reading.checkpoints(max(self._after, after), PAGE)
            self._ended = len(page) < PAGE
            self._waiting = list(reversed(page))
            self._after = page[-1].seq if page else self._after


def _tell_odd(one: Wanted, tell: Tell) -> None:
    if one.odd:
        tell(Finding(one.link.seq, FindingKind.DERIVED, one.odd))


def _taken(calls: Calls, one: Wanted) -> list[Held]:
    """Return the calls that an entry ends; one that cannot be read was told of, by `odd`."""
    try:
        return calls.take(one.link)
    except ValueError:
        return []


def _first(stretch: Stretch) -> dict[str, Any]:
    if stretch.whole:
        return first_line(begin(stretch.log, stretch.after, stretch.before))
    return first_line_of_part(stretch.log, stretch.after, stretch.prev)


def _line(members: dict[str, Any]) -> bytes:
    """Return members as one line of printable ASCII."""
    text = json.dumps(members, ensure_ascii=True, separators=(",", ":"))
    return text.replace("\x7f", "\\u007f").encode("ascii") + b"\n"


def _cef(held: Held) -> bytes:
    return cef_of(Copy(held.seq, held.entry)) + f" fileHash={held.hash.hex()}\n".encode()
