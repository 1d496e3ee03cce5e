"""Telling whether a URI fits a URI template (RFC 6570), roughly: enough to know whose resource it is."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Final

from coatcheck.core.access import globs

_EXPRESSION: Final = re.compile(r"\{[^{}]*\}")


@lru_cache(maxsize=4096)
def _glob(template: str) -> str | None:
    literals = _EXPRESSION.split(template)
    return None if any("*" in literal for literal in literals) else "*".join(literals)


def matches_template(template: str, uri: str) -> bool:
    """Tell whether some values of the template's variables could give the URI; linear in both."""
    pattern = _glob(template)
    return pattern is not None and "*" in pattern and globs.matches(pattern, uri)
