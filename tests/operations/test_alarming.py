"""Notices about the record: each alarm once for as long as it stands."""

from __future__ import annotations

from coatcheck.operations.alarming import Alarming


class Heard:
    def __init__(self) -> None:
        self.texts: list[str] = []

    def notify(self, text: str) -> None:
        self.texts.append(text)


def test_each_alarm_is_told_once_and_again_when_it_comes_back() -> None:
    standing: list[str] = []
    alarming, heard = Alarming(lambda: standing), Heard()
    assert alarming.look(heard) == []
    standing.append("the record ends at entry 4")
    assert alarming.look(heard) == ["the record ends at entry 4"]
    assert alarming.look(heard) == []
    standing.append("entry 7 is gone")
    assert alarming.look(heard) == ["entry 7 is gone"]
    assert heard.texts == [
        "Coatcheck, ALARM about the record:\n- the record ends at entry 4\nSee: coatcheck doctor",
        "Coatcheck, ALARM about the record:\n- entry 7 is gone\nSee: coatcheck doctor",
    ]
    standing.clear()
    assert alarming.look(heard) == []
    standing.append("entry 7 is gone")
    assert alarming.look(heard) == ["entry 7 is gone"]
