"""Which log messages pass."""

from __future__ import annotations

import pytest

from coatcheck.core.wire.levels import LEVELS, is_level, passes
from coatcheck.model.call import Notice


def message(level: str) -> Notice:
    return Notice("notifications/message", b'{"level":"%b","data":1}' % level.encode())


@pytest.mark.parametrize("least", LEVELS)
@pytest.mark.parametrize("level", LEVELS)
def test_what_is_as_severe_passes(level: str, least: str) -> None:
    assert passes(message(level), least) is (LEVELS.index(level) >= LEVELS.index(least))


@pytest.mark.parametrize("params", [b"{}", b'{"level":1}', b'{"level":"loud"}', b"[]", b'{"level":"ERROR"}'])
def test_a_message_of_no_level_does_not_pass(params: bytes) -> None:
    assert passes(message("debug"), "debug")
    assert not passes(Notice("notifications/message", params), "debug")


def test_nothing_passes_where_no_level_was_asked_for_but_what_is_no_message() -> None:
    assert not passes(message("emergency"), "")
    assert passes(Notice("notifications/progress", b"{}"), "")


@pytest.mark.parametrize("text", ["", "loud", "DEBUG", None])
def test_what_is_no_level(text: str | None) -> None:
    assert is_level("debug")
    assert not is_level(text)
