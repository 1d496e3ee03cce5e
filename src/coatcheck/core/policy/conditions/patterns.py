"""Patterns of RE2, whose time is linear in the text whatever the pattern and the text."""

from __future__ import annotations

from typing import Final

import re2  # type: ignore[import-untyped]  # it has no types

MAX_CHARS: Final = 1_000
MAX_SIZE: Final = 5_000
"""Most instructions of a compiled pattern: what a character of text can cost."""
_MAX_MEMORY: Final = 1 << 20


class BadPattern(ValueError):
    """A pattern that RE2 refuses or that is too large; the text says why."""


class Pattern:
    """One compiled pattern. A dot is any character, line ends too; `^` and `$` are the ends of the text."""

    __slots__ = ("_pattern",)

    def __init__(self, pattern: str, *, ignore_case: bool = False) -> None:
        """Compile a pattern.

        Raises:
            BadPattern: it cannot be compiled.
        """
        options = re2.Options()
        options.log_errors = False
        options.max_mem = _MAX_MEMORY
        options.dot_nl = True
        options.never_capture = True
        options.case_sensitive = not ignore_case
        if len(pattern) > MAX_CHARS:
            raise BadPattern(f"the pattern has more than {MAX_CHARS} characters")
        try:
            self._pattern = re2.compile(pattern, options)
        except UnicodeEncodeError:
            raise BadPattern("the pattern has half of a character") from None
        except re2.error as error:
            raise BadPattern(_reason(error)) from None
        if self._pattern.programsize > MAX_SIZE:
            raise BadPattern("the pattern is too large: its repetitions multiply")

    def matches(self, text: str) -> bool:
        """Tell whether the whole text matches. Raises UnicodeEncodeError for half of a character."""
        return self._pattern.fullmatch(text.encode("utf-8")) is not None

    def finds(self, text: str) -> bool:
        """Tell whether any part of the text matches. Raises UnicodeEncodeError for half of a character."""
        return self._pattern.search(text.encode("utf-8")) is not None


def _reason(error: Exception) -> str:
    said = error.args[0] if error.args else b""
    text = said.decode("utf-8", "replace") if isinstance(said, bytes) else str(said)
    return f"RE2 refuses the pattern: {text.partition(':')[0][:100]}"
