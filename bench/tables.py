"""Writes tables in Markdown that read well as they stand: pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

NOTHING = "-"


def table(columns: Sequence[str], lines: Iterable[Sequence[str]]) -> Iterator[str]:
    """Yield a padded table: columns of figures to the right, those that say nothing but `-` left out."""
    every = list(zip(columns, *lines, strict=True))
    told = [cells for cells in every if len(cells) == 1 or any(cell != NOTHING for cell in cells[1:])]
    padded = [pad(cells) for cells in told]
    head, rule, *rest = zip(*padded, strict=True)
    for cells in (head, rule, *rest):
        yield f"| {' | '.join(cells)} |"


def pad(column: Sequence[str]) -> list[str]:
    """Return the cells of a column, heading first, the rule after it, all of one width."""
    heading, *cells = column
    width = max(3, *map(len, column))
    if heading and all(cell[:1].isdigit() or cell == NOTHING for cell in cells):
        return [heading.rjust(width), f"{'-' * (width - 1)}:", *(cell.rjust(width) for cell in cells)]
    return [heading.ljust(width), "-" * width, *(cell.ljust(width) for cell in cells)]
