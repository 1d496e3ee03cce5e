"""All pages of policies."""

from __future__ import annotations

from collections.abc import Sequence

from coatcheck.console.pages.policies.editing import EditorPages
from coatcheck.console.pages.policies.explaining import ExplainPages
from coatcheck.console.pages.policies.history import HistoryPages
from coatcheck.console.pages.policies.listing import PolicyPages
from coatcheck.console.pages.policies.reading import Typed
from coatcheck.console.pages.policies.suggesting import SuggestPages
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.use_cases import UseCases


def policy_pages(cases: UseCases) -> Sequence[AnyPage]:
    """Return all pages of policies; those with a name of their own come before that of any policy."""
    typed = Typed(lambda text: cases.read_policy(text))  # noqa: PLW0108 - there is none where pages are listed
    return [
        *SuggestPages(cases).pages(),
        *ExplainPages(cases).pages(),
        *EditorPages(cases, typed).pages(),
        *HistoryPages(cases).pages(),
        *PolicyPages(cases, typed).pages(),
    ]
