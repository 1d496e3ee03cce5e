"""Event streams: the grammar by tables, independence of how the bytes arrive, and the bounds."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from coatcheck.core.wire.sse import KEEP_ALIVE, Event, OversizedEvent, Reader, event

LIMIT = 1000


def read(*chunks: bytes, limit: int = LIMIT) -> list[Event]:
    reader = Reader(limit)
    return [found for chunk in chunks for found in reader.feed(chunk)]


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"data: a\n\n", [Event(b"a")]),
        (b"data:a\n\n", [Event(b"a")]),
        (b"data:  a\n\n", [Event(b" a")]),
        (b"data: a\r\n\r\n", [Event(b"a")]),
        (b"data: a\r\r", [Event(b"a")]),
        (b"data: a\r\n\n\rdata: b\n\r\n", [Event(b"a"), Event(b"b")]),
        (b"data: a\ndata: b\n\n", [Event(b"a\nb")]),
        (b"data\n\n", [Event(b"")]),
        (b"data:\ndata:\n\n", [Event(b"\n")]),
        (b"event: ping\ndata: {}\n\n", [Event(b"{}", b"ping")]),
        (b"event: ping\ndata: a\n\ndata: b\n\n", [Event(b"a", b"ping"), Event(b"b")]),
        (b"event: ping\n\ndata: b\n\n", [Event(b"b")]),
        (b"event:\ndata: b\n\n", [Event(b"b")]),
        (b"id: 7\ndata: a\n\ndata: b\n\n", [Event(b"a", id=b"7"), Event(b"b", id=b"7")]),
        (b"id: 7\nid: x\0y\ndata: a\n\n", [Event(b"a", id=b"7")]),
        (b": comment\n\n: data: x\n\ndata: a\n\n", [Event(b"a")]),
        (b"\xef\xbb\xbfdata: a\n\n", [Event(b"a")]),
        (b"data: a\n\n\xef\xbb\xbfdata: b\n\n", [Event(b"a")]),
        (b"garbage\nDATA: x\ndatas: y\ndata: a\n\n", [Event(b"a")]),
        (b"retry: 5\ndata: a\n\n", [Event(b"a")]),
        (b"data: a\n", []),
        (b"data: a", []),
        (b"\n\n\n", []),
        (b"data: \xc3\xa9\n\n", [Event(b"\xc3\xa9")]),
    ],
)
def test_the_grammar(stream: bytes, expected: list[Event]) -> None:
    assert read(stream) == expected


@given(
    st.lists(
        st.sampled_from(
            [
                b"data: ",
                b"data",
                b":",
                b"a",
                b"\xc3\xa9",
                b"\n",
                b"\r",
                b"\r\n",
                b"\n\n",
                b"event: x",
                b"id: 1",
            ]
        ),
        max_size=30,
    ),
    st.lists(st.integers(1, 5), max_size=60),
)
def test_how_the_bytes_arrive_makes_no_difference(parts: list[bytes], sizes: list[int]) -> None:
    stream = b"".join(parts)
    chunks, rest = [], stream
    for size in sizes:
        chunks.append(rest[:size])
        rest = rest[size:]
    assert read(*chunks, rest) == read(stream)
    assert read(*[bytes([byte]) for byte in stream]) == read(stream)


@given(st.binary(max_size=200), st.sampled_from([b"message", b"ping"]), st.sampled_from([b"", b"42"]))
def test_what_is_written_is_read(data: bytes, type: bytes, id: bytes) -> None:
    found = read(event(data, type, id), event(b"next"), limit=10_000)
    assert found[0].data == data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    assert (found[0].type, found[0].id) == (type, id)
    assert found[1].data == b"next"
    assert len(found) == 2


def test_a_keep_alive_means_nothing() -> None:
    assert read(b"data: a\n", b"\n", KEEP_ALIVE, event(b"b")) == [Event(b"a"), Event(b"b")]


def test_the_wish_for_a_pause_is_read() -> None:
    reader = Reader(LIMIT)
    reader.feed(b"retry: 1500\n\n")
    assert reader.retry == 1500
    reader.feed(b"retry: soon\nretry: -1\nretry: 99999999999999\n\n")
    assert reader.retry == 1500


def test_an_event_of_exactly_the_limit_passes() -> None:
    assert read(b"data: " + b"x" * (LIMIT - 6) + b"\n\n") == [Event(b"x" * (LIMIT - 6))]


@pytest.mark.parametrize(
    "chunks",
    [
        [b"data: " + b"x" * (LIMIT + 1)],
        [b"x" * 100] * 11,
        [b"data: " + b"x" * (LIMIT + 1) + b"\n\n"],
        [b"data: " + b"x" * 90 + b"\n"] * 12,
        [b"data:\n" * (LIMIT + 2)],
        [b": " + b"x" * (LIMIT + 1)],
    ],
)
def test_more_than_the_limit_is_refused(chunks: list[bytes]) -> None:
    with pytest.raises(OversizedEvent):
        read(*chunks)


def test_the_limit_is_for_one_event_and_not_for_the_stream() -> None:
    many = (b"data: " + b"x" * 500 + b"\n\n") * 50 + b": comment\n" * 1000 + b"data: end\n\n"
    assert len(read(many)) == 51


def test_a_stream_is_resumed_after_the_last_event_that_ended() -> None:
    reader = Reader(LIMIT)
    seen = []
    for chunk in (b"id: 1\n", b"data: a\n\n", b"id: 2\ndata: b", b"\n\nid: 3\n", b"\n", b"id\n\n"):
        reader.feed(chunk)
        seen.append(reader.last_id)
    assert seen == [b"", b"1", b"1", b"2", b"3", b""]
