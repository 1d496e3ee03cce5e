"""All pages of credentials, put together."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.credentials.connecting import ConnectingPages
from coatcheck.console.pages.credentials.listing import CredentialListPages
from coatcheck.console.pages.credentials.making import MakingPages
from coatcheck.console.pages.credentials.rotating import RotatingPages
from coatcheck.console.pages.credentials.showing import CredentialPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.use_cases import UseCases


def credential_pages(cases: UseCases) -> Sequence[AnyPage]:
    """Return the pages. Those whose paths say what they are come before those of one credential."""
    return [
        *CredentialListPages(cases).pages(),
        *MakingPages(cases).pages(),
        *CredentialPages(cases).pages(),
        *RotatingPages(cases).pages(),
        *ConnectingPages(cases).pages(),
    ]
