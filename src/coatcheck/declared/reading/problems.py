"""Collects everything that is wrong with a file, so that one reading of it tells all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from coatcheck.errors import ConfigError
from coatcheck.model.declaration import Problem

_TOLD = 20
"""How many problems the text of the error holds; `problems` has them all."""


class Unfit(ValueError):
    """A value that cannot be used: why, and what to write instead. Neither quotes the value itself."""

    def __init__(self, message: str, fix: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.fix = fix


class DeclarationError(ConfigError):
    """A file that does not load. `problems` has everything that is wrong with it, in the order of lines.

    `files` are the paths whose change is worth another reading, also while the file is broken.
    """

    code = "declaration"

    def __init__(self, path: Path | None, problems: Iterable[Problem], files: Iterable[Path] = ()) -> None:
        self.path = path
        self.problems = tuple(problems)
        self.files = tuple(files)
        name = str(path) if path else "the configuration"
        count = len(self.problems)
        told = "\n".join(f"  {sentence(problem)}" for problem in self.problems[:_TOLD])
        super().__init__(f"{name} has {count} problem{'' if count == 1 else 's'}:\n{told}")


def sentence(problem: Problem) -> str:
    """Return a problem as one line for people: where, what, and what to do."""
    where = f" {problem.where}" if problem.where else ""
    fix = f" ({problem.fix})" if problem.fix else ""
    return f"line {problem.line}{where}: {problem.message}{fix}"


class Findings:
    """What one reading finds: `problems` keep the file from loading, `notices` do not."""

    def __init__(self, lines: Mapping[str, int]) -> None:
        self._lines = lines
        self._masks: dict[str, str] = {}
        self._problems: list[Problem] = []
        self._absences: list[Problem] = []
        self._notices: list[Problem] = []

    def problem(self, where: str, message: str, fix: str = "", *, at: str | None = None) -> None:
        """Note something that keeps the file from loading.

        `where` is a JSON pointer; `at` one whose line to tell instead, where it must not be shown itself.
        """
        line = self.line_of(where if at is None else at)
        self._problems.append(Problem(line, self._masked(where), message, fix))

    def unfit(self, where: str, error: Unfit, *, at: str | None = None) -> None:
        """Note a value that a check refused."""
        self.problem(where, error.message, error.fix, at=at)

    def absence(self, where: str, message: str, fix: str) -> None:
        """Note something that this process lacks: the file does not load here, but may elsewhere."""
        self.problem(where, message, fix)
        self._absences.append(self._problems[-1])

    def notice(self, where: str, message: str, fix: str = "") -> None:
        """Note something odd that does no harm."""
        self._notices.append(Problem(self.line_of(where), self._masked(where), message, fix))

    def mask(self, where: str, shown: str) -> None:
        """Show `shown` in place of a pointer, and of its beginning in longer ones: it holds a secret."""
        self._masks[where] = shown

    def add(self, problems: Iterable[Problem]) -> None:
        """Take over problems that were found with their lines."""
        self._problems.extend(problems)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """All problems, in the order of lines."""
        return tuple(sorted(self._problems, key=lambda problem: problem.line))

    @property
    def absences(self) -> tuple[Problem, ...]:
        """The problems that another process, with other variables, may not have."""
        return tuple(self._absences)

    @property
    def faults(self) -> tuple[Problem, ...]:
        """The problems of the text itself, in the order of lines."""
        return tuple(problem for problem in self.problems if problem not in self._absences)

    @property
    def notices(self) -> tuple[Problem, ...]:
        """All notices, in the order of lines."""
        return tuple(sorted(self._notices, key=lambda problem: problem.line))

    def _masked(self, where: str) -> str:
        head, rest = where, ""
        while head:
            if head in self._masks:
                return self._masks[head] + rest
            head, _, last = head.rpartition("/")
            rest = f"/{last}{rest}"
        return where

    def line_of(self, where: str) -> int:
        """Return the line that a JSON pointer stands on, or that of the nearest value around it."""
        while where:
            line = self._lines.get(where)
            if line is not None:
                return line
            where = where.rpartition("/")[0]
        return self._lines.get("", 1)
