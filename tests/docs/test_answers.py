"""The page of answers names every code and every refusal that the source can give."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "reference" / "answers.md").read_text(encoding="utf-8")
SOURCES = [path.read_text(encoding="utf-8") for path in (ROOT / "src").rglob("*.py")]


def _found(pattern: str) -> list[str]:
    return sorted({match for source in SOURCES for match in re.findall(pattern, source, re.MULTILINE)})


CODES = _found(r'^    code = "([a-z_]+)"')
REFUSALS = _found(r'problem\(\s*(?:\d{3}|status), "([a-z_]+)"')
REASONS = _found(r'Refused\(\s*"([a-z_]+)"')


def test_the_sources_were_searched() -> None:
    assert {"upstream_lost", "ledger_unavailable", "config"} <= set(CODES)
    assert {"not_found", "invalid_token", "bad_request"} <= set(REFUSALS)
    assert {"missing", "unknown", "foreign"} <= set(REASONS)


@pytest.mark.parametrize("name", [*CODES, *REFUSALS, *REASONS])
def test_every_code_is_on_the_page(name: str) -> None:
    assert f"`{name}`" in PAGE
