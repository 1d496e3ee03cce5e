"""How credentials are told on pages: tones, reasons, what is known of a version."""

from __future__ import annotations

from datetime import UTC, date, datetime, time
from functools import partial
from typing import Any, Final

from coatcheck.console.web.paths import credential_page
from coatcheck.model.credential import Assurance, CredentialKind, Custody, Stage
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.listing import CredentialRow
from coatcheck.operations.credentials.views import CredentialState, CredentialView
from coatcheck.operations.registry.patches import UNSAID, Unsaid

TONES: Final = {
    CredentialState.OK: "good",
    CredentialState.DUE: "warn",
    CredentialState.OVERDUE: "bad",
    CredentialState.FAILING: "bad",
    CredentialState.LACKING: "bad",
    CredentialState.RECONNECT: "bad",
}
STAGES: Final = {
    Stage.STAGED: "accent",
    Stage.ACTIVE: "good",
    Stage.PREVIOUS: "info",
    Stage.RETIRED: "mute",
}
ASSURANCES: Final = {
    Assurance.NEVER: "never verified",
    Assurance.PROVEN: "proven: its servers took it and refused a wrong one",
    Assurance.UNPROVEN: "its servers took it, but a wrong one as well",
    Assurance.SKIPPED: "activated without asking any server",
}
CUSTODIES: Final = {
    Custody.STORE: "kept here, sealed",
    Custody.ENV: "from the gateway's environment",
    Custody.FILE: "from a file",
    Custody.LITERAL: "in the servers file",
}
ELSEWHERE: Final = {
    Custody.ENV: (
        "It comes from the environment that the gateway was started with. Change the variable there, and "
        "start the gateway anew."
    ),
    Custody.FILE: (
        "It is read from a file of its own, which is watched: write the new secret there, and it is used "
        "from the next call on."
    ),
    Custody.LITERAL: (
        "It is written out in the servers file: change it there, and it is used from the next call on. "
        "Better: name a variable, a file or a credential there instead."
    ),
}
"""What is to be done where the secret is not ours to change."""


def is_rotated_here(view: CredentialView) -> bool:
    """Tell whether its secret is ours to change, by giving another one."""
    return view.custody is Custody.STORE and view.kind is CredentialKind.VALUE


def frame_of(row: CredentialRow) -> dict[str, Any]:
    """Return what all pages of one credential show. `at` tells where its page is, and those below it."""
    view = row.view
    return {
        "row": row,
        "view": view,
        "at": partial(credential_page, view.name),
        "tone": TONES[view.state],
        "tones": TONES,
        "stages": STAGES,
        "assurances": ASSURANCES,
        "custodies": CUSTODIES,
        "elsewhere": ELSEWHERE.get(view.custody, ""),
        "active": view.at(Stage.ACTIVE),
        "staged": view.at(Stage.STAGED),
        "previous": kept_before(view),
        "rotates": is_rotated_here(view),
    }


def as_pasted(secret: Secret) -> Secret:
    """Return a secret without what was pasted along with it: the spaces and line breaks around one line.

    One of several lines, such as a key file, is left just as it was pasted, line breaks at its end included.
    """
    alone = secret.reveal().strip()
    return secret if "\n" in alone else Secret(alone)


def kept_before(view: CredentialView) -> Any:
    """Return the previous version, if there is something to roll back to."""
    found = view.at(Stage.PREVIOUS)
    return found if found is not None and found.kept else None


def end_of(day: date | None) -> datetime | None:
    """Return the last moment of a day that was chosen, in UTC."""
    return None if day is None else datetime.combine(day, time(23, 59, 59), UTC)


def end_said(day: date | None, before: datetime | None) -> datetime | Unsaid | None:
    """Return what a form says of an end; the day that it showed says nothing, since it has no time."""
    shown = None if before is None else before.date()
    return UNSAID if day == shown else end_of(day)
