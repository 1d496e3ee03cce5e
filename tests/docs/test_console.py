"""The reference of the console names every page and form, who may use it, and what it does."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import coatcheck.console
from bench.surface import every_page
from coatcheck.console.web.page import AnyPage, Door

REFERENCE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "console.md"
PAGES = every_page()
CONSOLE = Path(coatcheck.console.__file__).parent
ALWAYS = {200, 303, 400, 421}
"""A page, after a form, fields that cannot be read, and what the front door says before any page is looked for."""


def statuses() -> set[int]:
    """Return every status that the console's source names: in what it raises and shows, and in its tables."""
    trees = [ast.parse(path.read_text(encoding="utf-8")) for path in CONSOLE.rglob("*.py")]
    numbers = (node.value for tree in trees for node in ast.walk(tree) if isinstance(node, ast.Constant))
    return {one for one in numbers if isinstance(one, int) and 401 <= one <= 503} | ALWAYS


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


def test_every_status_that_a_page_answers_is_told_and_no_other() -> None:
    told = re.findall(r"^\| (\d{3}) \|", REFERENCE.read_text(encoding="utf-8"), re.MULTILINE)
    assert sorted(map(int, told)) == sorted(statuses())
