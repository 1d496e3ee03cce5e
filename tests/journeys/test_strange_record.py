"""A running gateway whose store something else writes to: it alarms, refuses calls, and goes on when told to."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from journeys.running import Hall, hall_at
from journeys.test_ledger_reading import Desk


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with hall_at(tmp_path / "data") as hall:
        for _ in range(3):
            hall.good()
        wait_for_the_pins(hall)
        yield Desk(hall)


def wait_for_the_pins(hall: Hall) -> None:
    """Wait until the first list of tools is on record: that comes beside the calls, and maybe after them."""
    end = time.monotonic() + 30
    while not any(one["action"] == "tools.pin" for one in hall.control("/api/v1/changes")["items"]):
        assert time.monotonic() < end, "no tools were pinned"
        time.sleep(0.02)


def take_the_last_entry(data: Path) -> int:
    """Remove the newest entry and fit the chain to it; return how many are left."""
    with closing(sqlite3.connect(data / "coatcheck.sqlite3")) as writing, writing:
        (seq,) = writing.execute("SELECT seq FROM chain").fetchone()
        for table, key in (("settlement", "sequence"), ("record", "position"), ("change", "position")):
            writing.execute(f'DELETE FROM "{table}" WHERE {key} = ?', (seq,))
        (hash,) = writing.execute(
            "SELECT hash FROM (SELECT position AS n, hash FROM record UNION ALL SELECT sequence, hash FROM settlement"
            " UNION ALL SELECT position, hash FROM change) WHERE n = ?",
            (seq - 1,),
        ).fetchone()
        writing.execute("UPDATE chain SET seq = ?, hash = ?", (seq - 1, hash))
    return int(seq) - 1


def ready(hall: Hall) -> tuple[int, str]:
    answer = hall.gateway.request("GET", "/readyz", {})
    return answer.status, answer.body.decode()


def found_by_doctor(desk: Desk) -> dict[str, Any]:
    return {one["check"]: one for one in desk.json("doctor", code=1)["items"]}


def test_calls_wait_for_an_operator_where_something_else_wrote_to_the_record(desk: Desk) -> None:
    hall = desk.hall
    asked = hall.peer.count("tools/call")
    assert ready(hall)[0] == 200
    left = take_the_last_entry(desk.data)
    for _ in range(2):
        got = hall.call("echo", {"good": 1})
        assert got.status == 503
        assert "could not be recorded, so it was not made" in json.loads(got.body)["error"]["message"]
    assert hall.peer.count("tools/call") == asked
    status, page = ready(hall)
    assert status == 503
    assert "something else wrote to the store" in page
    doctor = found_by_doctor(desk)
    assert "audit accept" in doctor["chain"]["fix"]
    assert "something else wrote to the store" in doctor["chain"]["message"]
    assert hall.gateway.said().count("ALARM") == 1
    desk.run("audit", "accept", " ", code=2)
    told = desk.json("audit", "accept", "INC-42: looked into it")
    assert any("was signed" in alarm for alarm in told["alarms"])  # what was there stays provable
    hall.good()
    change = next(
        one for one in desk.hall.control("/api/v1/changes")["items"] if one["action"] == "record.accept"
    )
    assert change["because"] == "INC-42: looked into it"
    assert (change["before"]["seq"], change["after"]["seq"]) == (left + 1, left)
    report = desk.json("audit", "verify", code=1)
    assert "forked" in {one["what"] for one in report["findings"]}, report
    desk.run("audit", "accept", "there is nothing", code=2)
    assert ready(hall)[0] == 200
