"""Makes hashes cheap in the tests of this folder: what they cost is no business of theirs."""

from __future__ import annotations

import pytest

from coatcheck.core import passwords


@pytest.fixture(autouse=True)
def _cheap(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "MEMORY_KIB", 64)
