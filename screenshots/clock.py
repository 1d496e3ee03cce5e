"""Runs the gateway with a wall clock that its starter sets: `python -m screenshots.clock FILE up ...`.

So a gateway can have lived through months in seconds. All else of it is the program that everybody runs: what it records
it did, in that order. FILE holds one double, the seconds that its clock is ahead of the machine's.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from coatcheck.app import real

_AHEAD: Final = struct.Struct("<d")


class Hands:
    """The starter's side: sets the clock, which never goes back."""

    def __init__(self, file: Path) -> None:
        self.file = file
        file.write_bytes(_AHEAD.pack(0.0))
        with file.open("r+b") as opened:
            self._shared = mmap.mmap(opened.fileno(), _AHEAD.size)

    def set(self, moment: datetime) -> None:
        """Let it be this moment, or stay as it is if it is later already."""
        ahead = moment.timestamp() - time.time()
        if _AHEAD.unpack_from(self._shared)[0] == 0.0 or ahead > _AHEAD.unpack_from(self._shared)[0]:
            _AHEAD.pack_into(self._shared, 0, ahead)


def main() -> None:
    """Move the gateway's only clock, then run it."""
    with Path(sys.argv.pop(1)).open("rb") as opened:
        shared = mmap.mmap(opened.fileno(), _AHEAD.size, access=mmap.ACCESS_READ)

    def now(_: real.SystemClock) -> datetime:
        return datetime.now(UTC) + timedelta(seconds=_AHEAD.unpack_from(shared)[0])

    setattr(real.SystemClock, "now", now)  # noqa: B010 - the one thing that is not as everybody runs it
    from coatcheck.cli import main as run

    sys.argv[0] = "coatcheck"
    sys.exit(run())


if __name__ == "__main__":
    main()
