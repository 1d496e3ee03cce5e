"""Every page of the console, for those who look at what there is: nothing can be asked of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
from typing import Any, cast

from coatcheck.console.surface import Entrances, pages_of
from coatcheck.console.web.page import AnyPage
from coatcheck.operations.use_cases import UseCases


def every_page() -> Sequence[AnyPage]:
    """Return all pages and forms, with nothing behind them."""
    cases = UseCases(**{one.name: cast("Any", None) for one in fields(UseCases)})
    return pages_of(cases, Entrances(**{one.name: cast("Any", None) for one in fields(Entrances)}))
