"""Composition of what reads the whole record: exports, bundles for auditors, and the sealing of old parts."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass

from coatcheck import __version__
from coatcheck.app.auditing import old_keys
from coatcheck.app.keeping.evidence import evidence_of
from coatcheck.app.keeping.proof import Proof
from coatcheck.app.keeping.segments import FOLDER, SegmentFolder
from coatcheck.app.recording import Recording
from coatcheck.config import Config
from coatcheck.model.record import RecordFilter
from coatcheck.operations.activity import Activity
from coatcheck.operations.checkpointing import Checkpointing
from coatcheck.operations.directory import Snapshot
from coatcheck.operations.entries import Entries
from coatcheck.operations.evidence import Bundles, Grants
from coatcheck.operations.exporting import Exports
from coatcheck.operations.policies.replaying import Replays
from coatcheck.operations.radii import Radii
from coatcheck.operations.readers import Readers
from coatcheck.operations.registry.changes import Scribe
from coatcheck.operations.registry.desk import Desk
from coatcheck.operations.retention import Retention
from coatcheck.operations.views import Views
from coatcheck.ports import Clock, Entropy
from coatcheck.store.engines.database import Database
from coatcheck.store.records.activity import StoredCounting
from coatcheck.store.records.retiring import StoredSegments
from coatcheck.store.records.whole import StoredReading
from coatcheck.store.registry.changes import StoredChanges


@dataclass(frozen=True, slots=True)
class Readings:
    """All that reads the record as a whole."""

    config: Config
    exports: Exports
    entries: Entries
    bundles: Bundles
    retention: Retention
    readers: Readers
    activity: Activity
    radii: Radii

    async def close(self) -> None:
        """Count no more."""
        await self.activity.close()
        await self.radii.close()

    async def evidence(self, wanted: RecordFilter, by: str) -> AsyncIterator[bytes]:
        """Return the bytes of a bundle. Raises as `evidence_of`."""
        return await evidence_of(self.bundles, self.config, wanted, by)


def readings_of(
    config: Config,
    database: Database,
    checkpointing: Checkpointing,
    snapshot: Callable[[], Snapshot],
    clock: Clock,
    entropy: Entropy,
) -> Readings:
    """Return what reads the record of a store; `snapshot` knows the grants.

    Raises:
        ConfigError: the file of earlier keys cannot be read.
    """

    def grants() -> Grants:
        now = snapshot()
        return Grants(tuple(now.registry.grants.values()), tuple(now.declared.grants.values()))

    key = checkpointing.key
    old = old_keys(config)
    keys = [key.public, *old]
    exports = Exports(StoredReading(database), checkpointing.now, checkpointing.alarm)
    retention = Retention(
        StoredSegments(database, Proof(keys, None).why_not),
        SegmentFolder(config.segments or config.data / FOLDER, keys, clock),
        exports,
        Scribe(clock, entropy),
        clock,
        config.retention,
        key.sign_sealing,
    )
    bundles = Bundles(exports, key, grants, clock, __version__, old)
    readers = Readers(StoredChanges(database), Scribe(clock, entropy), clock)
    activity = Activity(StoredCounting(database), clock, config.call_longest)
    entries = Entries(exports.reading, keys)
    radii = Radii(exports.reading, clock)
    return Readings(config, exports, entries, bundles, retention, readers, activity, radii)


def replays_of(desk: Desk, views: Views, readings: Readings, recording: Recording) -> Replays:
    """Return what replays recorded calls; it opens the values of arguments that were kept."""
    return Replays(desk, views, readings.exports.reading, recording.values.open, recording.prints.of_value)
