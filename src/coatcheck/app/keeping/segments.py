"""The files of sealed segments: gzipped exports, read back and judged before anything is removed."""

from __future__ import annotations

import asyncio
import gzip
import os
from collections.abc import AsyncIterator, Sequence
from hashlib import file_digest
from pathlib import Path
from typing import BinaryIO, Final

from coatcheck.app.keeping.files import verify_lines
from coatcheck.app.keeping.proof import Proof
from coatcheck.core.recording.notes import PublicKey
from coatcheck.errors import ConfigError
from coatcheck.model.reading import Stretch
from coatcheck.model.segment import Segment
from coatcheck.ports import Clock
from coatcheck.store.engines.directory import create_private, sync

FOLDER: Final = "segments"


class SegmentFolder:
    """Implements `ports.SegmentFiles`; `usual` is the folder where none is named; `keys` prove."""

    def __init__(self, usual: Path, keys: Sequence[PublicKey], clock: Clock) -> None:
        self._usual = usual
        self._keys = keys
        self._clock = clock

    async def write(self, folder: Path | None, stretch: Stretch, lines: AsyncIterator[bytes]) -> Segment:
        """Write a segment, read it back and judge it; return it once it is durable.

        Raises:
            ConfigError: it cannot be written, or what was read back is not what the chain says.
        """
        place = folder or self._usual
        path = place / f"coatcheck-{stretch.log}-{stretch.after + 1}-{stretch.through}.jsonl.gz"
        part = path.with_name(f".{path.name}.part")
        try:
            place.mkdir(mode=0o700, parents=True, exist_ok=True)
            part.unlink(missing_ok=True)
            create_private(part)
            with part.open("r+b") as file:
                await _write(file, lines)
            segment = await asyncio.to_thread(self._judged, part, path.name, stretch)
            part.rename(path)
            sync(place)
        except OSError as error:
            part.unlink(missing_ok=True)
            raise ConfigError(
                f"the segment {path} cannot be written: {error.strerror}", fix="nothing was removed"
            ) from None
        except BaseException:
            part.unlink(missing_ok=True)
            raise
        return segment

    def _judged(self, part: Path, name: str, stretch: Stretch) -> Segment:
        with gzip.open(part, "rb") as lines:
            report = verify_lines(lines, name, Proof(self._keys, None))
        if not report.sound or report.unproven or not report.entries:
            found = report.findings[0].words if report.findings else "no checkpoint proves it"
            raise ConfigError(
                f"the record cannot be sealed, since it is not sound: {found}",
                fix="run `coatcheck audit verify`; nothing was removed",
            )
        with part.open("rb") as file:
            digest = file_digest(file, "sha256")
        return Segment(
            first=stretch.after + 1,
            last=stretch.through,
            prev=stretch.prev,
            hash=stretch.hash,
            entries=stretch.through - stretch.after,
            at=self._clock.now(),
            file=name,
            sha256=digest.hexdigest(),
        )


async def _write(file: BinaryIO, lines: AsyncIterator[bytes]) -> None:
    with gzip.GzipFile("", "wb", 6, file, mtime=0) as packed:
        async for piece in lines:
            await asyncio.to_thread(packed.write, piece)
    file.flush()
    await asyncio.to_thread(os.fsync, file.fileno())
