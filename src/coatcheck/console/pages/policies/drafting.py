"""A draft of a policy on two sides, document and rows: what was changed on one shows on the other.

The rows that come with a form say what they were made from, `base`. So it is known which of them somebody
changed, and only those are put into the document; whatever else the document says stays as it is.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from coatcheck.core.policy.editing.rows import Place, Row, changed_rows, rows_of, with_rows
from coatcheck.core.policy.editing.yaml_writing import write_yaml
from coatcheck.core.policy.reading.document import read_policy
from coatcheck.core.policy.reading.problems import BadPolicy, Problem
from coatcheck.core.policy.reading.written import Written
from coatcheck.core.policy.writing import write_json, write_policy
from coatcheck.errors import Unfit
from coatcheck.model.policy import Default, Policy
from coatcheck.operations.policies.policies import policy_of

Read = Callable[[str], Written]
"""Returns what a text says that somebody typed; raises `Unfit`."""
_LINE: Final = re.compile(r"line (\d+): ")
_SHOWN: Final = 160


@dataclass(frozen=True, slots=True)
class Visual:
    """The visual side as it was sent; `sent` False: it was not there, or could not be used.

    An empty `name` leaves the name as it is.
    """

    sent: bool = False
    name: str = ""
    default: str = ""
    description: str = ""
    rows: tuple[Row, ...] = ()


NOT_SENT: Final = Visual()


@dataclass(frozen=True, slots=True)
class Trouble:
    """One thing that is wrong: where in the document, on which line (0: none), and what stands there."""

    where: str
    message: str
    fix: str = ""
    line: int = 0
    quoted: str = ""


@dataclass(frozen=True, slots=True)
class Draft:
    """Both sides as they are now.

    `policy` is what is to be put, None where something is wrong. `shown` is what the rows are of: it stays as
    it was while the document cannot be read; then `stale`. `typed` are rows that could not be taken.
    """

    text: str
    base: str
    policy: Policy | None
    shown: Policy | None
    document: object = None
    troubles: tuple[Trouble, ...] = ()
    typed: Mapping[Place, Row] = field(default_factory=dict)

    @property
    def stale(self) -> bool:
        """Whether the rows show what the document said before."""
        return self.policy is None and not self.typed


@dataclass(frozen=True, slots=True)
class _Looked:
    """What came of reading a text."""

    policy: Policy | None = None
    document: object = None
    troubles: tuple[Trouble, ...] = ()


def drafted(read: Read, text: str, base: str = "", visual: Visual = NOT_SENT, name: str = "") -> Draft:
    """Return both sides, with what was changed on each. `name` is what the policy is called already."""
    now = _look(read, text, name)
    before = _look(read, base).policy if visual.sent else None
    if before is None or visual == _untouched(before, visual):
        if now.policy is not None:
            return Draft(text, text, now.policy, now.policy, now.document)
        last = _look(read, base).policy
        return Draft(text, base if last else "", None, last, troubles=now.troubles)
    changed = changed_rows(rows_of(before), visual.rows)
    if now.policy is None:
        typed = {row.place: row for row in changed}
        return Draft(text, base, None, before, troubles=now.troubles, typed=typed)
    try:
        after = with_rows(_with_head(now.policy, before, visual), changed)
        document = write_policy(after)
        after = policy_of(name or after.name, document)
    except (BadPolicy, Unfit) as error:
        typed = {row.place: row for row in changed}
        return Draft(text, base, None, before, troubles=_troubles(error), typed=typed)
    written = _written_like(text, after)
    return Draft(written, written, after, after, document)


def _untouched(before: Policy, visual: Visual) -> Visual:
    """Return the visual side as it would be had nobody touched it, as far as it was sent."""
    known = rows_of(before)
    return Visual(
        True,
        visual.name and before.name,
        before.default.value,
        before.description,
        tuple(row for row in visual.rows if not changed_rows(known, (row,))),
    )


def _with_head(now: Policy, before: Policy, visual: Visual) -> Policy:
    """Return the policy with what was changed on the visual side beside the rows."""
    name = visual.name if visual.name and visual.name != before.name else now.name
    description = visual.description if visual.description != before.description else now.description
    known = visual.default != before.default.value and visual.default in tuple(Default)
    default = Default(visual.default) if known else now.default
    return replace(now, name=name, description=description, default=default)


def _written_like(text: str, policy: Policy) -> str:
    """Return a policy as JSON or as YAML, whichever a text is."""
    return write_json(policy).decode() if text.lstrip().startswith("{") else write_yaml(policy)


def _look(read: Read, text: str, name: str = "") -> _Looked:
    try:
        written = read(text)
    except Unfit as error:
        return _Looked(troubles=_troubles(error, text))
    try:
        policy = read_policy(written.value)
        return _Looked(policy_of(name or policy.name, written.value), written.value)
    except (BadPolicy, Unfit) as error:
        return _Looked(troubles=_troubles(error, text, written))


def _troubles(error: Unfit, text: str = "", written: Written | None = None) -> tuple[Trouble, ...]:
    """Return what is wrong, each with its line where one is known."""
    lines = text.split("\n")
    if isinstance(error, BadPolicy):
        return tuple(_trouble(one, lines, written) for one in error.problems)
    found = _LINE.match(error.message)
    if found is None:
        return (Trouble("", error.message, error.fix),)
    number = int(found[1])
    return (Trouble("", error.message[found.end() :], error.fix, number, _quoted(lines, number)),)


def _trouble(one: Problem, lines: list[str], written: Written | None) -> Trouble:
    number = written.line_of(one.where) if written is not None else 0
    return Trouble(one.where, one.message, one.fix, number, _quoted(lines, number))


def _quoted(lines: list[str], number: int) -> str:
    return lines[number - 1].rstrip()[:_SHOWN] if 0 < number <= len(lines) else ""
