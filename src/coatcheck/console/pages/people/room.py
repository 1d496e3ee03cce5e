"""All pages of people, put together."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.people.changing import ChangingPages
from coatcheck.console.pages.people.leaving import LeavingPages
from coatcheck.console.pages.people.listing import PeopleListPages
from coatcheck.console.pages.people.showing import PersonPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.use_cases import UseCases


def people_pages(cases: UseCases, sessions: BrowserSessions) -> Sequence[AnyPage]:
    """Return the pages."""
    return [
        *PeopleListPages(cases).pages(),
        *PersonPages(cases, sessions).pages(),
        *ChangingPages(cases).pages(),
        *LeavingPages(cases).pages(),
    ]
