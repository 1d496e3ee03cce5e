"""Which bytes of a database file hold the rows of a table (sqlite.org/fileformat2.html, sections 1.6, 2)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

_LEAF, _INTERIOR = 0x0D, 0x05
_FIRST_HEADER: Final = 100
_OVERFLOW: Final = 4


@dataclass(frozen=True, slots=True)
class _Cell:
    start: int
    end: int
    rest: int
    """Bytes of the row that are on pages of their own."""


class Pages:
    """A database file at rest: no log beside it has anything that is not in it."""

    def __init__(self, image: bytes) -> None:
        self._image = image
        size = int.from_bytes(image[16:18], "big")
        self._size = 65_536 if size == 1 else size
        self._usable = self._size - image[20]

    def bytes_of(self, root: int) -> Iterator[range]:
        """Yield where the rows of a table are, and where its leaf pages say where rows are."""
        at = (root - 1) * self._size
        header = at + (_FIRST_HEADER if root == 1 else 0)
        kind, count = self._image[header], self._number(header + 3, 2)
        if kind == _INTERIOR:
            for number in range(count):
                yield from self.bytes_of(self._number(at + self._number(header + 12 + 2 * number, 2), 4))
            yield from self.bytes_of(self._number(header + 8, 4))
        elif kind == _LEAF:
            yield range(header, header + 8 + 2 * count)
            for number in range(count):
                cell = self._cell(at + self._number(header + 8 + 2 * number, 2))
                yield range(cell.start, cell.end)
                yield from self._overflow(cell)

    def _overflow(self, cell: _Cell) -> Iterator[range]:
        rest, page = cell.rest, self._number(cell.end - _OVERFLOW, 4) if cell.rest else 0
        while rest > 0 and page:
            at = (page - 1) * self._size
            here = min(rest, self._usable - _OVERFLOW)
            yield range(at, at + _OVERFLOW + here)
            rest, page = rest - here, self._number(at, 4)

    def _cell(self, at: int) -> _Cell:
        payload, after = self._varint(at)
        _, after = self._varint(after)
        local = self._local(payload)
        rest = payload - local
        return _Cell(at, after + local + (_OVERFLOW if rest else 0), rest)

    def _local(self, payload: int) -> int:
        most = self._usable - 35
        if payload <= most:
            return payload
        least = (self._usable - 12) * 32 // 255 - 23
        here = least + (payload - least) % (self._usable - 4)
        return here if here <= most else least

    def _varint(self, at: int) -> tuple[int, int]:
        value = 0
        for _ in range(8):
            byte = self._image[at]
            at += 1
            value = value << 7 | byte & 0x7F
            if byte < 0x80:
                return value, at
        return value << 8 | self._image[at], at + 1

    def _number(self, at: int, size: int) -> int:
        return int.from_bytes(self._image[at : at + size], "big")
