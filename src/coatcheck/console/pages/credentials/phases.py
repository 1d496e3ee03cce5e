"""Where a rotation is: told by what is kept of the credential, and by the step that somebody looks at."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from coatcheck.model.credential import Assurance, Stage
from coatcheck.operations.credentials.views import CredentialView
from coatcheck.operations.rotation.running import Run

Phase = str
"""`paste`, `verifying`, then one of `proven`, `unproven`, `refused`, `unasked`, `waiting`; or `activated`.

`waiting`: the staged version was not tried yet, or how that went is not known any more; `unasked`: there is
nobody to ask. `draining`, `drained` and `ended` are of the version before.
"""
_STEPS: Final = ("Paste", "Verify", "Activate", "Drain", "Retire")
_AT: Final = {
    "paste": 0,
    "verifying": 1,
    "waiting": 1,
    "refused": 1,
    "unasked": 2,
    "unproven": 2,
    "proven": 2,
    "activated": 3,
    "draining": 3,
    "drained": 4,
    "ended": 5,
}


def phase_of(view: CredentialView, run: Run | None, busy: Run | None) -> Phase:
    """Return where a rotation is. `run` is the step that is looked at, `busy` one that goes on."""
    if busy is not None and view.at(Stage.STAGED) is not None:
        return "verifying"
    if run is not None and run.activated and not run.under_way:
        return "activated"
    staged = view.at(Stage.STAGED)
    if staged is None:
        return "paste"
    if staged.assurance is Assurance.PROVEN:
        return "proven"
    if staged.assurance is Assurance.UNPROVEN:
        return "unproven"
    if not view.used_by:
        return "unasked"
    is_told = run is not None and run.number == staged.number and bool(run.refused)
    return "refused" if is_told else "waiting"


def rail_of(phase: Phase) -> Sequence[tuple[str, str]]:
    """Return the steps of a rotation with how each stands: done, now, failed or todo."""
    at = _AT[phase]
    now = "failed" if phase == "refused" else "now"
    return [
        (label, "done" if number < at else now if number == at else "todo")
        for number, label in enumerate(_STEPS)
    ]
