"""What is said of what ended: one sentence for grants, servers and people alike."""

from __future__ import annotations

import pytest

from coatcheck.console.pages.endings import ended_words, open_words
from coatcheck.operations.cutting import Open
from coatcheck.operations.registry.views import Ended


@pytest.mark.parametrize(
    ("ended", "browsers", "said"),
    [
        (Ended(), 0, "Nothing was under way."),
        (Ended(calls=1, seconds=0.25), 0, "1 call ended within 250 ms."),
        (
            Ended(calls=2, streams=1, sessions=3, seconds=1.5),
            0,
            "2 calls, 1 stream and 3 sessions ended within 1.5 s.",
        ),
        (
            Ended(calls=2, seconds=5.0, left=1),
            1,
            "2 calls ended within 5.0 s. 1 of them had not said yet that it ended. 1 browser was signed out.",
        ),
        (
            Ended(calls=3, seconds=5.0, left=2),
            2,
            "3 calls ended within 5.0 s. 2 of them had not said yet that they ended. 2 browsers were signed out.",
        ),
        (Ended(), 1, "Nothing was under way. 1 browser was signed out."),
    ],
)
def test_what_ended_is_told_with_how_long_it_took_and_what_is_open(
    ended: Ended, browsers: int, said: str
) -> None:
    assert ended_words(ended, browsers) == said


def test_what_is_open_is_counted_the_same_way() -> None:
    assert open_words(Open(1, 2, 0)) == "1 call and 2 streams"
    assert open_words(Open(0, 0, 0)) == ""
