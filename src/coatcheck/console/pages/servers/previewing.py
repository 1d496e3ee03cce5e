"""A server that was tried as it is shown before it is kept: what would become of it, and what that allows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from coatcheck.console.pages.servers.drafts import Candidate
from coatcheck.console.pages.servers.words import (
    Allowance,
    ToolRow,
    allowance_of,
    place_in_words,
    row_of,
)
from coatcheck.console.web.commands import Retold
from coatcheck.model.policy import Default
from coatcheck.operations.registry.patches import NewServer
from coatcheck.operations.registry.serving.trials import Trial, Trials


@dataclass(frozen=True, slots=True)
class Preview:
    """One server before it is kept. `made` and `named` are pairs of where it goes and the credential's name.

    `allowances` are what each default would make of its tools, `tools` how they stand by the chosen one.
    `waits`, `ready` and `ticked` are as in `Candidate`.
    """

    number: int
    new: NewServer
    trial: Trial | None
    why: str
    fix: str
    made: Sequence[tuple[str, str]]
    named: Sequence[tuple[str, str]]
    plain: Sequence[str]
    allowances: dict[str, Allowance]
    tools: Sequence[ToolRow]
    waits: bool
    ready: bool
    ticked: bool

    @property
    def chosen(self) -> Allowance:
        """What the chosen default makes of its tools."""
        return self.allowances[self.new.default.value]


def _fix_of(one: Candidate) -> str:
    if one.trial is not None and one.trial.refused:
        return "Begin again with a credential that it takes, or with OAuth."
    return Retold.of(one.trial.fix if one.trial else one.fix).sentence()


def preview_of(trials: Trials, number: int, one: Candidate) -> Preview:
    """Return a candidate as it is shown."""
    new, trial = one.new, one.trial
    judged = {
        default: trials.judged(trial, default, new.approved, trusted=new.trusted) if trial else ()
        for default in Default
    }
    made = [(place_in_words(place), name) for place, name in trial.made] if trial else []
    if new.oauth is not None and not made:
        made = [(place_in_words("headers/Authorization"), f"{new.name}-oauth")]
    return Preview(
        number=number,
        new=new,
        trial=trial,
        why=(trial.error if trial else one.why),
        fix=_fix_of(one),
        made=made,
        named=[(place_in_words(place), name) for place, name in trial.named] if trial else [],
        plain=sorted(new.plain),
        allowances={default.value: allowance_of(tools) for default, tools in judged.items()},
        tools=[row_of(tool) for tool in judged[new.default]],
        waits=one.waits,
        ready=one.ready,
        ticked=one.ticked,
    )
