"""Clients that send or read next to nothing: the others go on."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from journeys.running import Hall, hall_at
from journeys.wire import Wire, frame, modern_headers

MIB = 1024 * 1024


@pytest.fixture(scope="module")
def hall(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Hall]:
    with hall_at(tmp_path_factory.mktemp("slow") / "data") as running:
        running.good()
        yield running


def memory(hall: Hall) -> int:
    """Return the resident memory of the gateway in bytes."""
    lines = Path(f"/proc/{hall.gateway.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmRSS"))


def test_good_requests_go_on_beside_every_kind_of_slow_client(hall: Hall) -> None:
    idle = [Wire(hall.gateway.port) for _ in range(500)]
    heads = [Wire(hall.gateway.port) for _ in range(100)]
    bodies = [Wire(hall.gateway.port) for _ in range(100)]
    strangers = [Wire(hall.gateway.port) for _ in range(100)]
    call = hall.request("tools/call", {"name": "srv__echo", "arguments": {}})
    calls = len(hall.peer.forwarded)
    try:
        for turn in range(20):
            for number, wire in enumerate(heads):
                wire.send(call[turn : turn + 1] if number % 2 else b"")
            for wire in bodies:
                wire.send(
                    call[:-40] if turn == 0 else call[len(call) - 40 + turn - 1 : len(call) - 40 + turn]
                )
            for wire in strangers:
                wire.send(frame(b"", headers={"Content-Length": "4000000"}) if turn == 0 else b"x")
            hall.good()
        assert len(hall.peer.forwarded) == calls + 20  # none of the slow ones was served with half a request
        assert [wire.read().status for wire in strangers] == [401] * 100
        for wire in bodies:
            wire.send(call[-21:])
        assert [wire.read().status for wire in bodies] == [200] * 100
        hall.good()
    finally:
        for wire in (*idle, *heads, *bodies, *strangers):
            wire.close()


def test_clients_that_never_read_their_answers_hold_up_nobody(hall: Hall) -> None:
    size = 15 * MIB
    before = memory(hall)
    greedy = [Wire(hall.gateway.port) for _ in range(4)]
    try:
        for wire in greedy:
            wire.send(hall.request("tools/call", {"name": "srv__big", "arguments": {"bytes": size}}))
        position = hall.last_position()
        for _ in range(20):
            hall.good()
        while (
            sum(entry["tool"] == "big" for entry in hall.records(tool="big") if entry["outcome"] == "ok") < 4
        ):
            hall.good()
        assert memory(hall) - before < 4 * 4 * size
        assert position
        assert len(greedy[0].read().body) > size  # whoever reads after all gets it whole
    finally:
        for wire in greedy:
            wire.close()


def test_a_reply_over_the_limit_is_an_error_and_not_a_cut_answer(hall: Hall) -> None:
    got = hall.call("big", {"bytes": 17 * MIB})
    assert (got.status, got.code) == (200, -32603)
    hall.good()


def test_a_thousand_requests_in_one_go_are_answered_in_order(hall: Hall) -> None:
    with Wire(hall.gateway.port) as wire:
        for start in range(0, 1000, 100):  # in step with reading: neither side's buffers hold them all
            numbers = range(start, start + 100)
            wire.send(
                b"".join(
                    hall.request("tools/call", {"name": "srv__echo", "arguments": {"n": n}}, id=n)
                    for n in numbers
                )
            )
        assert [wire.read().json()["id"] for _ in range(1000)] == list(range(1000))


def test_a_flood_of_connections_that_say_nothing_is_no_flood_of_anything_else(hall: Hall) -> None:
    position = hall.last_position()
    for _ in range(300):
        with Wire(hall.gateway.port) as wire:
            wire.send(b"POST /mcp")
    for _ in range(50):
        with Wire(hall.gateway.port) as wire:
            body = b'{"jsonrpc"'
            wire.send(
                frame(body, headers={**hall.bearer, **modern_headers("tools/call"), "Content-Length": "1000"})
            )
    hall.good()
    assert len(hall.since(position)) == 1  # only the good one is on record
