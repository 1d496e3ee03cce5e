"""The dialogue of a rotation: paste, verify, activate, watch the old version drain, retire it or go back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any, Final

from msgspec import Struct

from coatcheck.console.pages.credentials.phases import phase_of, rail_of
from coatcheck.console.pages.credentials.words import as_pasted, end_of, frame_of
from coatcheck.console.web.forms import BadField, RunQuery
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import credential_page
from coatcheck.console.web.rendering import link
from coatcheck.errors import CoatcheckError
from coatcheck.model.credential import Assurance, Stage
from coatcheck.model.operator import Actor
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.views import Activated, CredentialView
from coatcheck.operations.permissions import Permission
from coatcheck.operations.rotation.running import Run
from coatcheck.operations.use_cases import UseCases

_WRITE: Final = Permission.CREDENTIALS_WRITE


class SecretForm(Struct, kw_only=True):
    """A new secret. `at_once`: it is activated as soon as every server took it and refused a wrong one."""

    secret: Secret
    expires: date | None = None
    at_once: bool = False


class ActivateForm(Struct, kw_only=True):
    """Which version is to be used from now on; `anyway`: though nobody can tell whether it is good."""

    number: int
    anyway: bool = False
    because: str = ""


class DiscardForm(Struct):
    """Which version is to be forgotten; `again`: another is pasted next."""

    number: int
    again: bool = False


class NumberForm(Struct):
    """Which version is meant."""

    number: int
    because: str = ""


class RotatingPages:
    """Serves rotations."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        base, again = "/credentials/{ref}", self.show
        return [
            seen(f"{base}/rotate", _WRITE, self.show, RunQuery),
            done(f"{base}/rotate", _WRITE, self.stage, SecretForm, RunQuery, again=again),
            done(f"{base}/verify", _WRITE, self.verify),
            done(f"{base}/activate", _WRITE, self.activate, ActivateForm, RunQuery, again=again),
            done(f"{base}/discard", _WRITE, self.discard, DiscardForm, RunQuery, again=again),
            seen(f"{base}/former", _WRITE, self.show_former),
            done(f"{base}/rollback", _WRITE, self.roll_back, NumberForm, again=self.show_former),
            done(f"{base}/retire", _WRITE, self.retire, NumberForm, again=self.show_former),
        ]

    async def show(self, asked: Asked[RunQuery, Any]) -> Shown:
        """Show where the rotation of a credential is, and what can be done next."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        frame, runs, wanted = frame_of(row), self._cases.runs, asked.query.run
        run = (
            runs.find(asked.actor, wanted)
            if wanted
            else _of_staged(row.view, runs.latest(asked.actor, row.view.id))
        )
        run = run if run is not None and run.credential == row.view.id else None
        phase = phase_of(row.view, run, runs.under_way(row.view.id))
        values = {
            **frame,
            "run": run,
            "busy": runs.under_way(row.view.id),
            "phase": phase,
            "rail": rail_of(phase),
            "lost": "" if run is not None or not wanted else _lost(runs.was_before_restart(wanted)),
            "poll": link(frame["at"]("rotate"), run=wanted),
        }
        return Shown("credentials/rotate.html", values)

    async def stage(self, asked: Asked[RunQuery, SecretForm]) -> Answer:
        """Keep a new version beside the one in use, and begin to try it."""
        form, ref = asked.form, asked.names["ref"]
        secret = as_pasted(form.secret)
        if not secret.reveal():
            raise BadField("secret", "Paste the new secret.")
        view = await self._cases.rotations.stage(asked.actor, ref, secret, end_of(form.expires))
        staged = view.at(Stage.STAGED)
        try:
            runs = self._cases.runs
            run = (
                runs.activate(asked.actor, str(view.id), staged.number)
                if form.at_once and staged is not None
                else runs.verify(asked.actor, str(view.id))
            )
        except CoatcheckError as error:
            said = f"The new version is staged, but it is not being verified: {error.message}."
            return Moved(credential_page(view.name, "rotate"), said, "warn")
        return Moved(link(credential_page(view.name, "rotate"), run=run.id))

    async def verify(self, asked: Asked[Nothing, Nothing]) -> Answer:
        """Begin to try the staged version, or else the active one."""
        view = await self._cases.credentials.get(asked.names["ref"])
        run = self._cases.runs.verify(asked.actor, str(view.id))
        below = ["rotate"] if view.at(Stage.STAGED) is not None else []
        return Moved(link(credential_page(view.name, *below), run=run.id))

    async def activate(self, asked: Asked[RunQuery, ActivateForm]) -> Answer:
        """Use the staged version from the next call on."""
        form, cases = asked.form, self._cases
        view = await cases.credentials.get(asked.names["ref"])
        id, staged = str(view.id), view.at(Stage.STAGED)
        if form.anyway:
            made = await self._anyway(asked.actor, id, form)
        elif staged is not None and staged.assurance is Assurance.NEVER:  # it is tried first: that takes time
            run = cases.runs.activate(asked.actor, id, form.number)
            return Moved(link(credential_page(view.name, "rotate"), run=run.id))
        else:
            made = await cases.hasty.activate(asked.actor, id, number=form.number)
        return _switched(made)

    async def _anyway(self, actor: Actor, id: str, form: ActivateForm) -> Activated:
        return await self._cases.hasty.activate(
            actor, id, accept_unproven=True, unverified=True, number=form.number, because=form.because
        )

    async def discard(self, asked: Asked[RunQuery, DiscardForm]) -> Answer:
        """Forget the staged version."""
        form = asked.form
        view = await self._cases.rotations.discard(asked.actor, asked.names["ref"], form.number)
        to = credential_page(view.name, *(["rotate"] if form.again else []))
        return Moved(to, f"Version {form.number} is forgotten. {_in_use(view)}")

    # --- the version before --------------------------------------------------------------------------------

    async def show_former(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show what still uses the version that was in use before."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        frame = frame_of(row)
        previous = frame["previous"]
        phase = "ended" if previous is None else "draining" if previous.in_use else "drained"
        return Shown("credentials/former.html", {**frame, "rail": rail_of(phase)})

    async def roll_back(self, asked: Asked[Nothing, NumberForm]) -> Answer:
        """Go back to the version that was in use before."""
        form = asked.form
        made = await self._cases.hasty.roll_back(
            asked.actor, asked.names["ref"], form.because.strip(), form.number
        )
        return _switched(made)

    async def retire(self, asked: Asked[Nothing, NumberForm]) -> Answer:
        """Forget the secret of the version before."""
        number = asked.form.number
        view = await self._cases.rotations.retire(asked.actor, asked.names["ref"], number)
        said = f"The secret of version {number} is forgotten. {_in_use(view)}"
        return Moved(credential_page(view.name), said)


def _of_staged(view: CredentialView, run: Run | None) -> Run | None:
    """Return a run if it is about the version that is staged: whoever comes back sees how that went."""
    staged = view.at(Stage.STAGED)
    return run if run is not None and staged is not None and run.number == staged.number else None


def _lost(restarted: bool) -> str:
    if restarted:
        return "The gateway was started anew since this step began, and it ended with it."
    return "How this step went is not kept any more; it ended more than an hour ago, or was not yours."


def _in_use(view: CredentialView) -> str:
    active = view.at(Stage.ACTIVE)
    return "" if active is None else f"Version {active.number} is in use."


def _switched(made: Activated) -> Moved:
    said = f"Version {made.number} is used from the next call on."
    warned = " ".join(f"{one[:1].upper()}{one[1:]}." for one in made.warnings)
    tone: Any = "warn" if warned else "good"
    below = ["former"] if made.former is not None else []
    return Moved(credential_page(made.credential.name, *below), f"{said} {warned}".strip(), tone)
