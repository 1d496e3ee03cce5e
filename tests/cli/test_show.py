"""What reaches a terminal or a pipe."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.cli import show

STEERING = [
    "\x1b[31m",
    "\x1b]0;title\x07",
    "\x9b2J",
    "\x85",
    "\x7f",
    "\r",
    "\x08",
    "\u202e",
    "\u2066",
    "\u200f",
    "\u061c",
    "\u2028",
    "\ud800",
    "\x00",
]


@pytest.mark.parametrize("steering", STEERING)
def test_clean_drops_what_steers_a_terminal(steering: str) -> None:
    assert show.clean("a\tb\nc é 漢 👩‍💻") == "a\tb\nc é 漢 👩‍💻"
    cleaned = show.clean(f"left{steering}right")
    assert steering not in cleaned
    assert cleaned.startswith("left")
    assert cleaned.endswith("right")


@given(st.text())
def test_clean_line_is_one_printable_line(text: str) -> None:
    line = show.clean_line(text)
    assert "\n" not in line
    assert "\x1b" not in line
    assert show.clean_line(line) == line


@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(st.characters(), max_size=20),
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=5), inner, max_size=4),
    )
)
def test_json_text_says_the_same_value_without_steering(value: object) -> None:
    text = show.json_text(value)
    assert json.loads(text) == value
    assert show.clean(text) == text
    text.encode("utf-8")


def test_json_is_one_line_when_piped(capsys: pytest.CaptureFixture[str]) -> None:
    show.put_list([{"name": "a\x9bb"}], failing=[])
    assert capsys.readouterr().out == '{"items": [{"name": "a\\u009bb"}], "next": null, "failing": []}\n'


def test_tables_take_markup_and_steering_as_text(capsys: pytest.CaptureFixture[str]) -> None:
    show.put_table(("NAME", "SAYS"), [("[red]x[/red]", "a\x1b[31mb"), (None, ":smile:")])
    out = capsys.readouterr().out
    assert "[red]x[/red]" in out
    assert "a[31mb" in out
    assert ":smile:" in out
    assert "\x1b" not in out


def test_words_go_to_standard_error(capsys: pytest.CaptureFixture[str]) -> None:
    show.say_failure("it is\x1b[0m broken", "mend it")
    show.say_failure("no fix")
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err == "coatcheck: it is[0m broken\nfix: mend it\ncoatcheck: no fix\n"
