"""What a proof came to, for people and programs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

Say = Callable[[str], None]
"""Takes a plain line on what a proof is doing."""


@dataclass(slots=True)
class Verdict:
    """The end of a proof. `counts` is what it saw; `broken` says in words what should not have been."""

    proof: str
    counts: dict[str, Any]
    broken: list[str] = field(default_factory=list)

    @property
    def holds(self) -> bool:
        """Tell whether nothing was broken."""
        return not self.broken

    def told(self) -> dict[str, Any]:
        """Return all of it as plain JSON values."""
        return {"proof": self.proof, "holds": self.holds, **self.counts, "broken": self.broken}
