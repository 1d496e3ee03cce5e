"""Credentials as people look through them: what waits for somebody comes first, and why it does."""

from __future__ import annotations

from collections import Counter as Count
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from coatcheck.model.credential import Credential
from coatcheck.operations.credentials.counter import Counter
from coatcheck.operations.credentials.showing import due_of
from coatcheck.operations.credentials.views import CredentialState, CredentialView, Reason
from coatcheck.operations.registry.paging import page_of
from coatcheck.operations.registry.views import Page


@dataclass(frozen=True, slots=True)
class CredentialRow:
    """One credential. `reasons` are why it waits for somebody, the gravest first; `since` is of the first."""

    view: CredentialView
    reasons: tuple[Reason, ...] = ()
    since: datetime | None = None


@dataclass(frozen=True, slots=True)
class LookFilter:
    """Which credentials to look at. `text` is a part of name, owner, note or server, in any case."""

    text: str = ""
    state: CredentialState | None = None
    limit: int = 50
    after: str | None = None


@dataclass(frozen=True, slots=True)
class Looked:
    """A page of credentials, the gravest first. `found` fit text and state, `states` count by text alone.

    `all`: however many there are.
    """

    page: Page[CredentialRow]
    found: int
    all: int
    states: Mapping[CredentialState, int]


_GRAVITY = {reason: number for number, reason in enumerate(Reason)}


class CredentialLists:
    """Lists credentials for people."""

    def __init__(self, counter: Counter) -> None:
        self._counter = counter

    async def list(self, wanted: LookFilter) -> Looked:
        """Return a page of credentials, those first that wait for somebody.

        Raises:
            Unfit: a limit or cursor that cannot be.
        """
        every, now = self._counter.every(), self._counter.now()
        text = wanted.text.strip().casefold()
        fitting = [(one, view) for one, view in every if _has(view, text)]
        states = Count(view.state for _, view in fitting)
        found = [(one, view) for one, view in fitting if wanted.state in {None, view.state}]
        rows = [_row(view, credential, now) for credential, view in found]
        return Looked(page_of(rows, _place, wanted.limit, wanted.after), len(found), len(every), states)

    async def get(self, ref: str) -> CredentialRow:
        """Return one credential.

        Raises:
            Missing: there is none.
        """
        credential, view = self._counter.look(ref)
        return _row(view, credential, self._counter.now())


def _row(view: CredentialView, credential: Credential, now: datetime) -> CredentialRow:
    due = due_of(view, credential, now)
    return CredentialRow(view) if due is None else CredentialRow(view, due.reasons, due.since)


def _place(row: CredentialRow) -> tuple[str, ...]:
    gravity = _GRAVITY[row.reasons[0]] if row.reasons else len(_GRAVITY)
    return f"{gravity:02}", row.view.name


def _has(view: CredentialView, text: str) -> bool:
    if not text:
        return True
    words = (view.name, view.owner, view.note, *(server for server, _ in view.used_by))
    return any(text in word.casefold() for word in words)
