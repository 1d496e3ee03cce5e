"""The bytes that the chain is over, read back, also where somebody changed them."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID

import pytest

from coatcheck.core.recording.stored import moment_of, settlement_of, stored_settlement
from coatcheck.model.chain import EntryKind, Link
from coatcheck.model.record import Outcome, Settlement

AT = datetime(2026, 11, 22, 1, 2, 3, tzinfo=UTC)


def a_settlement() -> bytes:
    return stored_settlement(7, Settlement(UUID(int=1), AT, Outcome.OK, 0.5))


def test_an_entry_reads_back_with_its_time() -> None:
    stored = a_settlement()
    assert settlement_of(stored) == (7, Settlement(UUID(int=1), AT, Outcome.OK, 0.5))
    assert moment_of(Link(9, EntryKind.SETTLEMENT, stored, b"")) == AT


def test_a_time_that_lost_its_zone_makes_the_entry_unreadable_and_raises_nothing_else() -> None:
    """Compared with a time of an export it would raise where nobody waits for it, and end the export."""
    stored = a_settlement()
    spoilt = stored.replace(b'02:03Z"', b'02:03"')
    assert spoilt != stored
    with pytest.raises(ValueError, match="no zone"):
        settlement_of(spoilt)
    assert moment_of(Link(9, EntryKind.SETTLEMENT, spoilt, b"")) is None
