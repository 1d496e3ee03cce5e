"""What a log says of a defect holds where it came up, and nothing of what it was about."""

from __future__ import annotations

from coatcheck.core import defects


def _break(planted: str) -> None:
    raise ValueError(f"{planted} cannot be")


def test_kind_and_place_are_told_and_no_value() -> None:
    try:
        _break("planted-4711")
    except ValueError as error:
        told = defects.told(error)
    assert told.startswith("ValueError\n")
    assert "in _break" in told
    assert "planted-4711 cannot be" not in told
