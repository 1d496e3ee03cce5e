"""Composition of the record: who makes the records, folds refusals, and keeps the values of arguments."""

from __future__ import annotations

import platform
from collections.abc import Callable
from dataclasses import dataclass

from coatcheck.core.recording.argument_prints import ArgumentPrints
from coatcheck.core.recording.argument_values import ArgumentValues
from coatcheck.core.sealing.keys import Purpose
from coatcheck.core.sealing.states import NONCE_BYTES
from coatcheck.operations.knocking import Knocking
from coatcheck.operations.records import Records
from coatcheck.operations.refusals import Refusals
from coatcheck.operations.tally import Tally
from coatcheck.ports import Clock, Entropy, Ledger
from coatcheck.store.registry.store import StoredRegistry


@dataclass(frozen=True, slots=True)
class Recording:
    """All that makes records. `values` opens the arguments that were sealed, `prints` prints values."""

    records: Records
    refusals: Refusals
    knocking: Knocking
    values: ArgumentValues
    prints: ArgumentPrints


def recording_of(
    ledger: Ledger,
    store: StoredRegistry,
    clock: Clock,
    entropy: Entropy,
    tally: Tally,
    note_seen: Callable[[str, str, str], None],
) -> Recording:
    """Return what makes records; its keys stay the same when the key of the store is changed."""
    values = ArgumentValues(store.lasting_key(Purpose.ARGUMENT_SEAL))
    prints = ArgumentPrints(store.lasting_key(Purpose.ARGUMENT_PRINT))
    records = Records(
        ledger,
        clock,
        entropy,
        tally.settled,
        note_seen,
        replica=platform.node(),
        prints=prints.of,
        seal_values=lambda raw, id: values.seal(raw, id, entropy.token(NONCE_BYTES)),
    )
    knocking = Knocking()
    return Recording(records, Refusals(records, clock, tally, knocking.note), knocking, values, prints)
