"""All pages about grants."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.grants.issuing import IssuingPages
from coatcheck.console.pages.grants.listing import GrantListPages
from coatcheck.console.pages.grants.showing import GrantPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.use_cases import UseCases


def grant_pages(cases: UseCases) -> Sequence[AnyPage]:
    """Return the pages; those whose paths are fixed come before those of one grant."""
    issuing = IssuingPages(cases)
    return [*GrantListPages(cases).pages(), *issuing.pages(), *GrantPages(cases, issuing).pages()]
