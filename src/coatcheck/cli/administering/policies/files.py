"""Reads policy files for commands, and tells everything that is wrong with one, each with its line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from coatcheck.cli import show
from coatcheck.cli.exits import Exit, Stop
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.reading.problems import BadPolicy
from coatcheck.core.policy.trying.cases import Case, read_cases
from coatcheck.errors import ConfigError, Unfit
from coatcheck.model.policy import Policy


def policy_in(path: Path) -> Policy:
    """Return the policy in a file.

    Raises:
        Stop: it cannot be read, or is no policy; then all that is wrong was said.
    """
    from coatcheck.declared.policies.files import read_file  # YAML is loaded where it is read

    try:
        written = read_file(path)
    except (Unfit, ConfigError) as error:
        raise Stop(error.message, exit_code=Exit.CONFIG, fix=error.fix) from None
    try:
        return read_policy(written.value)
    except BadPolicy as bad:
        raise _told(path, bad, written.lines) from None


def cases_of(path: Path, policy: Policy) -> list[Case]:
    """Return the cases beside a policy's file. Raises as `policy_in`, and where there are none."""
    from coatcheck.declared.policies.files import cases_beside, read_file

    try:
        beside = cases_beside(path)
        if beside is None:
            fix = f"write {policy.name}.cases.yaml there, as docs/reference/policies.md says"
            raise Stop(f"there are no cases beside {path}", exit_code=Exit.NO, fix=fix)
        written = read_file(beside)
    except (Unfit, ConfigError) as error:
        raise Stop(error.message, exit_code=Exit.CONFIG, fix=error.fix) from None
    try:
        return list(read_cases(written.value, policy.name))
    except BadPolicy as bad:
        raise _told(beside, bad, written.lines) from None


def _told(path: Path, bad: BadPolicy, lines: Mapping[str, int]) -> Stop:
    for problem in bad.problems:
        line = _line(problem.where, lines)
        place = f"{path}:{line}" if line else str(path)
        fix = f" ({problem.fix})" if problem.fix else ""
        show.say(show.clean_line(f"{place}: {problem.where or 'the document'}: {problem.message}{fix}"))
    count = len(bad.problems)
    many = "1 problem" if count == 1 else f"{count} problems"
    return Stop(
        f"{path} has {many}", exit_code=Exit.CONFIG, fix="the format is in docs/reference/policies.md"
    )


def _line(where: str, lines: Mapping[str, int]) -> int:
    """Return the line of a place, or of the nearest one around it that has one; 0 for none."""
    while where and where not in lines:
        where = where.rpartition("/")[0]
    return lines.get(where, 0)
