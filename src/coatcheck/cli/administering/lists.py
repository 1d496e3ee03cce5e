"""Reads files that list many things at once: small, text, and complained of in one way."""

from __future__ import annotations

from pathlib import Path
from typing import Final

from coatcheck.cli.exits import Exit, Stop

MOST: Final = 1_000
"""Rows in one list."""
MAX_BYTES: Final = 4 * 1024 * 1024


def text_of(file: Path) -> str:
    """Return what a list holds, with or without a byte order mark.

    Raises:
        Stop: it cannot be read, is larger than 4 MiB, or no UTF-8 text.
    """
    try:
        with file.open("rb") as source:
            raw = source.read(MAX_BYTES + 1)
        if len(raw) > MAX_BYTES:
            raise unfit(f"{file} is larger than {MAX_BYTES // 1024 // 1024} MiB", "split it")
        return raw.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise unfit(f"{file} is not UTF-8 text", "save it as UTF-8") from None
    except OSError as error:
        raise unfit(f"{file} cannot be read: {error.strerror}", "correct the path") from None


def unfit(message: str, fix: str) -> Stop:
    """Return the failure of a list that cannot be used."""
    return Stop(message, exit_code=Exit.USAGE, fix=fix)
