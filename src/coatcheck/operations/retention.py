"""Retention: the oldest part of the record is sealed in a file, judged there, and only then removed."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from coatcheck.core.recording.segments import SEAL, rolled, sealing_of
from coatcheck.errors import CoatcheckError, Unfit
from coatcheck.model.change import ObjectKind
from coatcheck.model.operator import Actor, OperatorRole
from coatcheck.model.segment import Segment
from coatcheck.operations.exporting import Exports
from coatcheck.operations.registry.changes import Scribe
from coatcheck.ports import Clock, SegmentFiles, Segments

log = logging.getLogger(__name__)

BY_RETENTION: Final = Actor("gateway", OperatorRole.ADMIN, "retention")
EVERY_SECONDS: Final = 6 * 3600.0
FIRST_SECONDS: Final = 60.0


class Retention:
    """Seals segments. `keep` is how many seconds entries stay in the database; None: for ever.

    `sign` signs the digest over every segment, by which they are believed later.
    """

    def __init__(
        self,
        segments: Segments,
        files: SegmentFiles,
        exports: Exports,
        scribe: Scribe,
        clock: Clock,
        keep: float | None,
        sign: Callable[[bytes], str],
    ) -> None:
        self.segments = segments
        self._files = files
        self._exports = exports
        self._scribe = scribe
        self._clock = clock
        self._keep = keep
        self._sign = sign
        self._one = asyncio.Lock()

    async def seal(
        self, before: datetime, folder: Path | None, by: Actor, *, although_behind: bool = False
    ) -> Segment | None:
        """Seal the entries from before a time; return the segment, or None if there are none.

        `folder` None: the folder of the settings. With `although_behind` what a sink has not got is sealed
        too: that sink will never get it.

        Raises:
            Unfit: a sink has not got all of it.
            CoatcheckError: the file cannot be written or proven, or the store fails; nothing is removed then.
        """
        async with self._one:
            await self.segments.clear()
            digest = await self.segments.vouched()
            stretch = await self.segments.oldest(before)
            if stretch is None:
                return None
            if not although_behind:
                await self._require_copies(stretch.through)
            await self._exports.sign()
            segment = await self._files.write(folder, stretch, self._exports.part(stretch))
            digest = rolled(digest, segment)
            outline = sealing_of(segment, digest, self._sign(digest))
            what = (ObjectKind.RECORD, f"{segment.first}-{segment.last}", segment.file)
            await self.segments.add(segment, self._scribe.changed(by, SEAL, what, None, outline))
            await self._exports.sign()
            await self.segments.clear()
            return segment

    async def run(self) -> None:
        """Remove what a stop left of sealed parts; then seal what is too old, now and then, for ever."""
        await asyncio.sleep(FIRST_SECONDS)
        try:
            async with self._one:
                await self.segments.clear()
        except CoatcheckError as error:
            log.warning("what is sealed cannot be removed: %s; %s", error.message, error.fix)
        while self._keep is not None:
            try:
                before = self._clock.now() - timedelta(seconds=self._keep)
                segment = await self.seal(before, None, BY_RETENTION)
                if segment is not None:
                    log.info("entries %d to %d are sealed in %s", segment.first, segment.last, segment.file)
            except CoatcheckError as error:
                log.warning("the record cannot be sealed: %s; %s", error.message, error.fix)
            await asyncio.sleep(EVERY_SECONDS)

    async def _require_copies(self, through: int) -> None:
        cursors = await self.segments.cursors()
        behind = sorted(name for name, seq in cursors.items() if seq < through)
        if behind:
            raise Unfit(
                f"these sinks have not got all of it yet: {', '.join(behind)}",
                fix="see `coatcheck sink list`; or seal it all the same with --although-behind",
            )
