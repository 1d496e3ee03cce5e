"""The stream sink: whole lines in order, and a reader that hangs or leaves costs copies, never a call."""

from __future__ import annotations

import json
import logging
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from coatcheck.audit.stream import StreamSink
from coatcheck.model.record import RecordEntry
from ledgers import a_record, its_settlement

PATIENCE = 20.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # the test may have closed it
            os.close(descriptor)


def entry(position: int, **changes: Any) -> RecordEntry:
    record = a_record(**changes)
    return RecordEntry(position, record, its_settlement(record))


class Reader(threading.Thread):
    """Reads a descriptor to its end."""

    def __init__(self, descriptor: int) -> None:
        super().__init__()
        self._descriptor = descriptor
        self._read = bytearray()
        self.start()

    def run(self) -> None:
        while chunk := os.read(self._descriptor, 65_536):
            self._read += chunk

    def lines(self) -> list[dict[str, Any]]:
        self.join(PATIENCE)
        assert self._read.endswith(b"\n")
        return [json.loads(line) for line in self._read.split(b"\n")[:-1]]


@pytest.mark.parametrize("blocking", [True, False])
def test_every_entry_is_one_line_in_order(pipe: tuple[int, int], blocking: bool) -> None:
    os.set_blocking(pipe[1], blocking)
    sink = StreamSink(pipe[1])
    reader = Reader(pipe[0])
    for position in range(3_000):
        sink.write(entry(position, tool="n\nl \u2028 \u00e9"))
    sink.close(PATIENCE)
    os.close(pipe[1])
    lines = reader.lines()
    assert [line["position"] for line in lines] == list(range(3_000))
    assert {line["tool"] for line in lines} == {"n\nl \u2028 \u00e9"}
    assert sink.dropped == 0


def test_a_reader_that_hangs_costs_copies_that_are_counted(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sink = StreamSink(pipe[1], waiting=100)
    total = 5_000  # far more than the pipe and the queue hold
    for position in range(total):
        sink.write(entry(position))
    assert sink.dropped > total // 2
    reader = Reader(pipe[0])
    sink.close(PATIENCE)
    os.close(pipe[1])
    positions = [line["position"] for line in reader.lines()]
    assert positions[0] == 0
    assert positions == sorted(positions)
    assert len(positions) + sink.dropped == total
    assert f"{sink.dropped} copies were dropped so far" in caplog.text


def test_a_sink_whose_reader_hangs_can_be_closed(pipe: tuple[int, int]) -> None:
    sink = StreamSink(pipe[1], waiting=10)
    for position in range(1_000):
        sink.write(entry(position))
    sink.close(0.05)
    before = sink.dropped
    sink.write(entry(1_000))
    assert sink.dropped == before + 1
    os.close(pipe[0])  # lets the thread go
    sink.close(PATIENCE)


def test_a_reader_that_left_is_told_once_and_harms_no_one(
    pipe: tuple[int, int], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    sink = StreamSink(pipe[1])
    os.close(pipe[0])
    for position in range(1_000):
        sink.write(entry(position))
    sink.close(PATIENCE)
    assert sink.dropped == 1_000
    assert [record.message for record in caplog.records] == [
        "the audit stream is closed (Broken pipe): no more copies are written to it"
    ]
