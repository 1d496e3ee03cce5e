"""The stream sink: whole lines in order, and a reader that hangs or leaves holds up nobody but the sink."""

from __future__ import annotations

import asyncio
import json
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from coatcheck.audit.stream import StreamSink
from coatcheck.core.copies.cef import cef_of
from coatcheck.errors import SinkFailed
from doubles.copies import a_change_copy, a_copy

PATIENCE = 20.0


@pytest.fixture
def pipe() -> Iterator[tuple[int, int]]:
    reading, writing = os.pipe()
    yield reading, writing
    for descriptor in (reading, writing):
        with suppress(OSError):  # the test may have closed it
            os.close(descriptor)


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
async def test_every_entry_is_one_line_in_order(pipe: tuple[int, int], blocking: bool) -> None:
    os.set_blocking(pipe[1], blocking)
    sink = StreamSink(pipe[1])
    reader = Reader(pipe[0])
    for start in range(0, 3_000, 200):
        await sink.deliver([a_copy(start + number) for number in range(200)])
    await sink.deliver([a_change_copy(3_000)])
    await sink.close()
    os.close(pipe[1])
    lines = reader.lines()
    assert [line["seq"] for line in lines] == list(range(3_001))
    assert {line["kind"] for line in lines[:-1]} == {"record"}
    assert lines[-1]["action"] == "grant.issue"


async def test_a_reader_that_hangs_holds_up_the_delivery_alone(pipe: tuple[int, int]) -> None:
    sink = StreamSink(pipe[1])
    hanging = asyncio.create_task(sink.deliver([a_copy(number, reason="x" * 400) for number in range(200)]))
    done, _ = await asyncio.wait({hanging}, timeout=0.2)
    assert not done
    reader = Reader(pipe[0])
    await asyncio.wait_for(hanging, PATIENCE)
    await sink.close()
    os.close(pipe[1])
    assert len(reader.lines()) == 200


async def test_what_waits_for_a_hung_reader_is_bounded(pipe: tuple[int, int]) -> None:
    sink = StreamSink(pipe[1])
    large = [a_copy(number, reason="x" * 400) for number in range(200)]
    waiting = [asyncio.create_task(sink.deliver(large)) for _ in range(6)]
    done, rest = await asyncio.wait(waiting, timeout=0.2)
    assert done
    assert all(isinstance(task.exception(), SinkFailed) for task in done)
    os.close(pipe[0])
    await asyncio.wait(rest, timeout=PATIENCE)
    assert all(isinstance(task.exception(), SinkFailed) for task in rest)
    await sink.close()


async def test_a_reader_that_left_is_told(pipe: tuple[int, int]) -> None:
    sink = StreamSink(pipe[1])
    os.close(pipe[0])
    with pytest.raises(SinkFailed, match="cannot be written"):
        await sink.deliver([a_copy(1)])
    await sink.close()


async def test_the_format_can_be_another(pipe: tuple[int, int]) -> None:
    sink = StreamSink(pipe[1], cef_of)
    await sink.deliver([a_copy(1)])
    await sink.close()
    assert os.read(pipe[0], 65_536).startswith(b"CEF:0|Coatcheck|")
