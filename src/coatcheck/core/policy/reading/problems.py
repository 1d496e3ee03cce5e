"""Collects everything that is wrong with a document, so that one reading of it tells all."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from coatcheck.errors import Unfit

MAX_PROBLEMS: Final = 100
"""Most problems that one reading tells."""
MAX_ENTRIES: Final = 1_000
MAX_CONDITIONS: Final = 2_000
MAX_PATTERNS: Final = 200
MAX_ALL_LIMITS: Final = 500
"""Most limits of a policy: a call may be charged to all of them, and what it takes stands in its record."""
_TOLD: Final = 20


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing wrong: `where` is a JSON Pointer into the document, `fix` what to write instead, if known."""

    where: str
    message: str
    fix: str = ""

    def __str__(self) -> str:
        """Return it as one line for people."""
        fix = f" ({self.fix})" if self.fix else ""
        return f"{self.where or 'the document'}: {self.message}{fix}"


class BadPolicy(Unfit):
    """A document that is no policy. `problems` has what is wrong with it, in the order of the document."""

    code = "bad_policy"

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = tuple(problems)
        count = len(self.problems)
        told = "\n".join(f"  {problem}" for problem in self.problems[:_TOLD])
        super().__init__(f"the policy has {count} problem{'' if count == 1 else 's'}:\n{told}")


class Notes:
    """What one reading has found, and how much it has read."""

    def __init__(self) -> None:
        self.problems: list[Problem] = []
        self._counts: dict[str, int] = {}

    def problem(self, where: str, message: str, fix: str = "") -> None:
        """Note something that is wrong."""
        if len(self.problems) < MAX_PROBLEMS:
            self.problems.append(Problem(where, message, fix))

    def count(self, what: str, most: int, where: str) -> bool:
        """Count one more of something; tell whether that is not too many, and note it once if it is."""
        count = self._counts[what] = self._counts.get(what, 0) + 1
        if count == most + 1:
            self.problem(where, f"a policy has at most {most} {what}", "split it into several policies")
        return count <= most
