"""What a log may say of a defect: its kind and where it came up, without the values it was about."""

from __future__ import annotations

import traceback


def told(error: BaseException) -> str:
    """Return the kind of an error and the lines of code that it came through. Its message may hold values."""
    frames = "".join(traceback.format_tb(error.__traceback__))
    return f"{type(error).__name__}\n{frames}"
