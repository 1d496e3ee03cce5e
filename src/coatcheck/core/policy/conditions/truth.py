"""How truths of several conditions make one: what cannot be told stays so, unless the others decide it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from coatcheck.model.verdict import Truth

TRUE, FALSE, UNKNOWN, SKIPPED, UNRECORDED = (
    Truth.TRUE,
    Truth.FALSE,
    Truth.UNKNOWN,
    Truth.SKIPPED,
    Truth.UNRECORDED,
)
_OPPOSITE: Final = {TRUE: FALSE, FALSE: TRUE}


def of(holds: bool) -> Truth:
    """Return the truth of what is known."""
    return TRUE if holds else FALSE


def opposite(truth: Truth) -> Truth:
    """Return the truth of `not`: only what is known turns around."""
    return _OPPOSITE.get(truth, truth)


def all_of(truths: Iterable[Truth]) -> Truth:
    """Return whether all hold. Those that are skipped do not count; where all are, so is the whole."""
    return _joined(truths, FALSE)


def any_of(truths: Iterable[Truth]) -> Truth:
    """Return whether one holds. Those that are skipped do not count; where all are, so is the whole."""
    return _joined(truths, TRUE)


def _joined(truths: Iterable[Truth], deciding: Truth) -> Truth:
    found = SKIPPED
    for truth in truths:
        if truth is deciding:
            return truth
        if _WEIGHTS[truth] > _WEIGHTS[found]:
            found = truth
    return found


_WEIGHTS: Final = {SKIPPED: 0, TRUE: 1, FALSE: 1, UNKNOWN: 2, UNRECORDED: 3}
"""What was not recorded outweighs what cannot be told: with the value, it could have been either."""
