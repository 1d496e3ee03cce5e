"""Exports of the record, as chained JSON Lines, CSV or CEF, made page by page in constant memory."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Awaitable, Callable, Set
from enum import StrEnum
from typing import Any, Final

from coatcheck.core.copies.cef import cef_of
from coatcheck.core.recording import tables_of_records
from coatcheck.core.recording.chain import begin
from coatcheck.core.recording.exported import checkpoint_line, entry_line, first_line, first_line_of_part
from coatcheck.model.chain import Checkpoint
from coatcheck.model.reading import Held, Stretch
from coatcheck.model.record import RecordFilter
from coatcheck.model.sink import Copy
from coatcheck.ports import Reading

_EVERYTHING: Final = RecordFilter()
PAGE: Final = 500
"""Calls read at a time."""


class ExportFormat(StrEnum):
    """How an export is written. `jsonl` has the chain, and changes by operators beside the calls."""

    JSONL = "jsonl"
    CSV = "csv"
    CEF = "cef"


class Exports:
    """Makes exports. `sign` makes a checkpoint of where the chain stands, which proves the last entry."""

    def __init__(self, reading: Reading, sign: Callable[[], Awaitable[Checkpoint]]) -> None:
        self.reading = reading
        self.sign = sign

    async def pieces(self, wanted: RecordFilter, form: ExportFormat) -> AsyncIterator[bytes]:
        """Yield an export, about a page at a time.

        Raises:
            LedgerUnavailable: the record cannot be read; what was yielded is not whole then.
        """
        if form is ExportFormat.JSONL:
            await self.sign()
            async for piece in self.chained(wanted):
                yield piece
            return
        if form is ExportFormat.CSV:
            yield tables_of_records.header()
        async for piece in self._rows(wanted, tables_of_records.row_of if form is ExportFormat.CSV else _cef):
            yield piece

    async def chained(self, wanted: RecordFilter, about: Set[str] = frozenset()) -> AsyncIterator[bytes]:
        """Yield the part of the chain that a filter means, from which it can be proven by itself.

        `about` has names and ids of objects whose changes are wanted too. Entries that are left out are there
        with their digest alone. After the last one come as many as there
        are up to the next checkpoint, so that it is proven too.
        """
        async for piece in self.part(await self.reading.stretch(wanted), wanted, about):
            yield piece

    async def part(
        self, stretch: Stretch, wanted: RecordFilter = _EVERYTHING, about: Set[str] = frozenset()
    ) -> AsyncIterator[bytes]:
        """Yield one part of the chain in the same way."""
        yield _line(_first(stretch))
        signed = _Signed(self.reading, stretch.after)
        after = stretch.after
        while after < stretch.through:
            page, after = await self.reading.links(after, stretch.through, wanted, about)
            lines = []
            for one in page:
                lines.append(_line(entry_line(one.link, leave_out=not one.asked)))
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

    async def _rows(self, wanted: RecordFilter, row: Callable[[Held], bytes]) -> AsyncIterator[bytes]:
        after = wanted.after or 0
        while page := await self.reading.held(wanted, after, PAGE):
            after = page[-1].entry.position
            yield b"".join(map(row, page))


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
