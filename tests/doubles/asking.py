"""Requests as pages of the console are given them, without a browser."""

from __future__ import annotations

from typing import Any

from coatcheck.console.web.page import Asked, Nothing
from coatcheck.model.operator import Actor
from doubles.registries import ROOT


def asked(
    by: Actor = ROOT, *, query: Any = None, form: Any = None, part: str = "", **names: str
) -> Asked[Any, Any]:
    """Return what a page is asked by an operator; `names` are the parts of its path in braces."""
    return Asked(
        by=by, session=None, names=names, query=query or Nothing(), form=form or Nothing(), address="", agent="",
        path="", may_enter=True, part=part,
    )  # fmt: skip
