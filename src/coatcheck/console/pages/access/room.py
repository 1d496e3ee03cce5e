"""All pages of access, put together."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.access.exporting import ExportPages
from coatcheck.console.pages.access.matrix import MatrixPages
from coatcheck.console.pages.access.narrowing import NarrowingPages
from coatcheck.console.pages.access.telling import TellingPages
from coatcheck.console.pages.access.withdrawing import WithdrawingPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.use_cases import UseCases


def access_pages(cases: UseCases) -> Sequence[AnyPage]:
    """Return the pages."""
    return [
        *MatrixPages(cases).pages(),
        *TellingPages(cases).pages(),
        *NarrowingPages(cases).pages(),
        *WithdrawingPages(cases).pages(),
        *ExportPages(cases).pages(),
    ]
