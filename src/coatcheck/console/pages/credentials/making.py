"""Adding a credential, changing its terms, and forgetting it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date
from typing import Any

from msgspec import Struct

from coatcheck.console.pages.credentials.words import as_pasted, end_of, end_said, frame_of
from coatcheck.console.web.forms import NOTHING, BadField
from coatcheck.console.web.page import Answer, AnyPage, Asked, Moved, Nothing, Shown, done, seen
from coatcheck.console.web.paths import credential_page
from coatcheck.model.credential import USUAL_INTERVAL, CredentialKind, OauthTerms, OnRefusal
from coatcheck.model.secret import Secret
from coatcheck.operations.credentials.patches import CredentialPatch, NewCredential
from coatcheck.operations.permissions import Permission
from coatcheck.operations.use_cases import UseCases


class TermsForm(Struct, kw_only=True):
    """How a credential is looked after. `interval` None: it is never due; `expires` is a day."""

    owner: str = ""
    interval: int | None = None
    on_refusal: OnRefusal = OnRefusal.FLAG
    expires: date | None = None
    note: str = ""


class NewForm(TermsForm, kw_only=True):
    """A new credential, whose `auth` is `value` or `oauth`."""

    name: str
    auth: str = "value"
    secret: Secret = NOTHING
    resource: str = ""
    grant_type: str = "authorization_code"
    issuer: str = ""
    client_id: str = ""
    client_secret: Secret = NOTHING
    scopes: str = ""


class ChangeForm(TermsForm, kw_only=True):
    """New terms, from `version` on."""

    version: int


class EndForm(Struct):
    """The name, so that nobody forgets another one by mistake."""

    name: str
    because: str = ""


class MakingPages:
    """Serves what makes, changes and forgets credentials."""

    def __init__(self, cases: UseCases) -> None:
        self._cases = cases

    def pages(self) -> Sequence[AnyPage]:
        """Return the pages."""
        write, end = Permission.CREDENTIALS_WRITE, Permission.CREDENTIALS_END
        return [
            seen("/credentials/new", write, self.ask),
            done("/credentials/new", write, self.add, NewForm, again=self.ask),
            seen("/credentials/{ref}/terms", write, self.ask_terms),
            done("/credentials/{ref}/terms", write, self.change, ChangeForm, again=self.ask_terms),
            seen("/credentials/{ref}/end", end, self.ask_end),
            done("/credentials/{ref}/end", end, self.end, EndForm, again=self.ask_end),
        ]

    async def ask(self, asked: Asked[Nothing, Any]) -> Shown:  # noqa: ARG002 - the shape of a page
        """Show the form for a new credential."""
        return Shown("credentials/new.html", {"usual": USUAL_INTERVAL})

    async def add(self, asked: Asked[Nothing, NewForm]) -> Answer:
        """Add a credential."""
        form = asked.form
        view = await self._cases.credentials.add(asked.actor, _new_of(form))
        if form.auth == "oauth":
            return Moved(credential_page(view.name), f"{view.name} is kept. Connect it next.")
        said = "Name it where a server needs it: under the server's settings."
        return Moved(credential_page(view.name), f"{view.name} is kept, sealed. {said}")

    async def ask_terms(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show how a credential is looked after, to be changed."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        return Shown("credentials/terms.html", frame_of(row))

    async def change(self, asked: Asked[Nothing, ChangeForm]) -> Answer:
        """Change how a credential is looked after."""
        form = asked.form
        row = await self._cases.credential_lists.get(asked.names["ref"])
        patch = CredentialPatch(
            owner=form.owner.strip(),
            interval=form.interval,
            on_refusal=form.on_refusal,
            note=form.note,
            expires_at=end_said(form.expires, row.view.expires_at),
        )
        view = await self._cases.credentials.change(asked.actor, str(row.view.id), patch, form.version)
        return Moved(credential_page(view.name), "Changed.")

    async def ask_end(self, asked: Asked[Nothing, Any]) -> Shown:
        """Show what forgetting a credential would end."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        return Shown("credentials/end.html", frame_of(row))

    async def end(self, asked: Asked[Nothing, EndForm]) -> Answer:
        """Forget a credential for good."""
        row = await self._cases.credential_lists.get(asked.names["ref"])
        view = row.view
        if asked.form.name.strip() != view.name:
            raise BadField("name", f"This is not the name of the credential, {view.name}.")
        await self._cases.credentials.end(asked.actor, str(view.id), asked.form.because.strip())
        return Moved("/credentials", f"{view.name} and all of its secrets are forgotten.")


def _new_of(form: NewForm) -> NewCredential:
    """Return the credential that a form describes, not yet judged."""
    is_oauth = form.auth == "oauth"
    secret = as_pasted(form.secret)
    return NewCredential(
        name=form.name.strip(),
        material=secret if secret.reveal() and not is_oauth else None,
        kind=CredentialKind.OAUTH if is_oauth else CredentialKind.VALUE,
        owner=form.owner.strip(),
        interval=form.interval,
        on_refusal=form.on_refusal,
        note=form.note,
        expires_at=None if is_oauth else end_of(form.expires),
        oauth=_terms_of(form) if is_oauth else None,
    )


def _terms_of(form: NewForm) -> OauthTerms:
    secret = form.client_secret.reveal().strip()
    return OauthTerms(
        grant_type=form.grant_type,
        resource=form.resource.strip(),
        issuer=form.issuer.strip(),
        client_id=form.client_id.strip(),
        client_secret=Secret(secret) if secret else None,
        scopes=tuple(form.scopes.split()),
    )
