from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.wire.lines import LineReader, OversizedLine, Tail, shown


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    """Cut a stream into pieces at some places."""
    edges = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in pairwise(edges)]


@given(
    st.lists(st.binary(max_size=20).map(lambda b: b.replace(b"\n", b""))), st.lists(st.integers(0, 10_000))
)
def test_lines_are_the_same_however_the_stream_is_cut(lines: list[bytes], places: list[int]) -> None:
    reader = LineReader(100)
    stream = b"".join(line + b"\n" for line in lines) + b"rest"
    assert [line for piece in cut(stream, places) for line in reader.feed(piece)] == lines
    assert reader.feed(b"\n") == [b"rest"]


@given(st.integers(0, 30), st.booleans(), st.lists(st.integers(0, 100)))
def test_a_line_over_the_limit_is_refused_ended_or_not(length: int, ended: bool, places: list[int]) -> None:
    reader = LineReader(10)
    stream = b"ok\n" + b"x" * length + (b"\n" if ended else b"")

    def feed() -> None:
        for piece in cut(stream, places):
            reader.feed(piece)

    if length <= 10:
        feed()
    else:
        with pytest.raises(OversizedLine):
            feed()


@given(st.lists(st.binary(max_size=40)))
def test_a_tail_keeps_the_last_bytes_and_no_more(pieces: list[bytes]) -> None:
    tail = Tail(32)
    for piece in pieces:
        tail.feed(piece)
        assert len(tail) <= 32
    everything = b"".join(pieces)
    kept = everything[-32:]
    if len(everything) > 32:
        kept = kept.partition(b"\n")[2] or kept
    assert tail.text() == kept.decode("utf-8", "replace")
    assert tail.taken == len(everything)


def test_a_line_of_another_origin_stands_alone() -> None:
    tail = Tail(100)
    tail.feed(b"half")
    tail.add_line(b"(stdout) hi")
    tail.feed(b"whole\n")
    tail.add_line(b"(stdout) ho")
    assert tail.text() == "half\n(stdout) hi\nwhole\n(stdout) ho\n"


@pytest.mark.parametrize(
    ("text", "lines"),
    [
        ("", ()),
        ("plain\n", ("plain",)),
        ("a\r\nb\rc\n", ("a", "bc")),
        ("\x1b[31mred\x1b[0m \x1b]0;title\x07end", ("red end",)),
        ("\x1b]8;;http://x\x1b\\link", ("link",)),
        ("back\x08space\x7f\x00", ("backspace",)),
        ("c1\x9b31m", ("c131m",)),
        ("\u202eright\u202c \u2066iso\u2069 \u200frlm \ufeffbom", ("right iso rlm bom",)),
        ("a\tb", ("a b",)),
        ("sep\u2028arated", ("separated",)),
    ],
)
def test_what_is_shown_is_safe_on_a_terminal(text: str, lines: tuple[str, ...]) -> None:
    assert shown(text) == lines


@given(st.text())
def test_nothing_that_moves_a_cursor_or_turns_a_line_is_ever_shown(text: str) -> None:
    for line in shown(text):
        assert all(c >= " " and not "\x7f" <= c <= "\x9f" for c in line)
        assert not set(line) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069\u200e\u200f\u061c")


def test_many_and_long_lines_are_cut() -> None:
    assert shown("".join(f"{n}\n" for n in range(1000))) == tuple(str(n) for n in range(800, 1000))
    assert shown("x" * 5000) == ("x" * 2000,)
