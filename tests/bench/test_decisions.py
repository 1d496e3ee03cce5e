"""The bench of decisions: its policies have as many rules as they say, and let the call pass."""

from __future__ import annotations

import pytest

from bench import decisions
from coatcheck.core.policy.reading.document import read_policy


def test_a_small_run(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decisions, "DECISIONS", 3)
    found = decisions.measured(1)
    assert [kind.partition(",")[0] for kind in found] == ["no policy", *["200 rules"] * 4]
    assert len(read_policy(decisions.whole()).entries) == decisions.RULES
    assert len(decisions.everywhere()) == decisions.RULES
