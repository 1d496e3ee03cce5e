"""`coatcheck policy test`: tries the cases beside policy files, without a gateway."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from coatcheck.cli import options, show
from coatcheck.cli.administering.policies.explaining import words_of_step
from coatcheck.cli.administering.policies.files import cases_of, policy_in
from coatcheck.cli.exits import Exit
from coatcheck.core.policy.judging import ReadyPolicy
from coatcheck.core.policy.trying.cases import Tried, try_case
from coatcheck.model.verdict import Step


@click.command(
    "test",
    short_help="Try the cases beside policy files.",
    epilog=options.example("coatcheck policy test policies/*.policy.yaml"),
)
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="JSON, with every part of the policies looked at.")
def test(files: tuple[Path, ...], as_json: bool) -> int:
    """Try each policy in FILES with the cases beside it: NAME.policy.yaml with NAME.cases.yaml, or JSON.

    No gateway is asked. Exit code 1 if a case comes otherwise than it says, each told with every part of the
    policy that was looked at; 78 if a file is wrong. Words go to a pipe too, as for the log of a build.
    """
    tried = [(path, one) for path in files for one in _tried(path)]
    failed = sum(not one.passed for _, one in tried)
    if as_json:
        show.put_list([_shape(path, one) for path, one in tried], failed=failed)
    else:
        for path, one in tried:
            _tell(path, one)
        show.put(f"{len(tried)} cases, {failed} failed")
    return Exit.NO if failed else Exit.DONE


def _tried(path: Path) -> list[Tried]:
    policy = policy_in(path)
    ready = ReadyPolicy(policy)
    return [try_case(ready, case) for case in cases_of(path, policy)]


def _tell(path: Path, one: Tried) -> None:
    case = one.case
    show.put_status("ok" if one.passed else "fail", show.clean_line(f"{path.name}: {case.name}"))
    if one.passed:
        return
    expected = f"{case.expected}{f' by {case.rule}' if case.rule else ''}"
    show.put("        " + show.clean_line(f"expected {expected}, and it is {one.outcome} by {one.rule}"))
    show.put("        " + show.clean_line(f"because {one.because}"))
    for step in one.steps:
        show.put(f"        {words_of_step(_step(step))}")


def _shape(path: Path, one: Tried) -> dict[str, Any]:
    return {
        "file": str(path),
        "case": one.case.name,
        "passed": one.passed,
        "expected": one.case.expected.value,
        "outcome": one.outcome.value,
        "rule": one.rule,
        "because": one.because,
        "steps": [_step(step) for step in one.steps],
    }


def _step(step: Step) -> dict[str, Any]:
    return {
        "rule": step.rule,
        "says": step.says,
        "truth": step.truth.value if step.truth is not None else None,
        "because": step.because,
        "denies": step.denies,
    }
