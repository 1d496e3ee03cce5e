"""The reference of the console names every page and form, who may use it, and what it does."""

from __future__ import annotations

from dataclasses import fields
from pathlib import Path
from typing import Any, cast

from coatcheck.console.surface import Entrances, pages_of
from coatcheck.console.web.page import AnyPage, Door
from coatcheck.operations.use_cases import UseCases

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "console.md"
PAGES = pages_of(
    UseCases(**{one.name: cast("Any", None) for one in fields(UseCases)}),
    Entrances(**{one.name: cast("Any", None) for one in fields(Entrances)}),
)


def row(page: AnyPage) -> str:
    """Return the line of the reference for one page."""
    who = page.who.value if isinstance(page.who, Door) else f"`{page.who.value}`"
    proof = ", proven again" if page.proven else ""
    said = (page.answer.__doc__ or "").strip().splitlines()[0]
    return f"| `{page.method}` | `{page.path}` | {who}{proof} | {said} |"


def test_every_page_is_told_in_the_order_of_its_path_and_no_other() -> None:
    told = [line for line in REFERENCE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    wanted = [row(page) for page in sorted(PAGES, key=lambda page: (page.path, page.method))]
    assert told == wanted, "the whole table:\n" + "\n".join(wanted)
