"""docs/reference/record.md tells of every rule in parentheses that the code writes, and of no other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[2]
PAGE: Final = (ROOT / "docs" / "reference" / "record.md").read_text(encoding="utf-8")
WRITERS: Final = ("core/access", "core/pins", "core/policy", "mcp", "operations")


def test_the_rules_are_those_of_the_page() -> None:
    sources = [path for name in WRITERS for path in (ROOT / "src" / "coatcheck" / name).rglob("*.py")]
    written = {rule for path in sources for rule in re.findall(r'"(\([a-z]+\))"', path.read_text("utf-8"))}
    assert {"(scope)", "(request)"} <= written
    assert set(re.findall(r"^\| `(\([a-z]+\))` \|", PAGE, re.MULTILINE)) == written
