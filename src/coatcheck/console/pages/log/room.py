"""All pages of the log."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.log.calls import CallPages
from coatcheck.console.pages.log.changes import ChangePages
from coatcheck.console.pages.log.refusals import RefusalPages
from coatcheck.console.pages.log.story import StoryPages
from coatcheck.console.pages.log.taking import TakingPages
from coatcheck.console.pages.log.verify import VerifyPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.signing_in.sessions import BrowserSessions
from coatcheck.operations.use_cases import UseCases


def log_pages(cases: UseCases, sessions: BrowserSessions) -> Sequence[AnyPage]:
    """Return them."""
    return [
        *CallPages(cases).pages(),
        *StoryPages(cases).pages(),
        *ChangePages(cases).pages(),
        *RefusalPages(cases).pages(),
        *VerifyPages(cases).pages(),
        *TakingPages(cases, sessions).pages(),
    ]
