"""`coatcheck sink list` and `test`, and what doctor says of sinks."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from cli.fake_api import Canned, FakeApi, items
from cli.ran import Run
from cli.terminal import on_terminal
from coatcheck.cli.looking.doctor.finding import Status
from coatcheck.cli.looking.doctor.running import check_sinks


def sink(name: str, **changes: Any) -> dict[str, Any]:
    told = {
        "name": name,
        "kind": "webhook",
        "cursor": 12,
        "last": 12,
        "lag": 0,
        "behind_since": None,
        "delivered": 5,
        "failures": 0,
        "error": "",
        "options": {"url": "***"},
    }
    return {**told, **changes}


LATE = {"lag": 10_000, "behind_since": "2026-11-21T08:00:00Z", "error": "the receiver \x1b[31manswered 503"}


def test_sinks_are_listed(api: FakeApi, run: Run) -> None:
    api.answers["GET /sinks"] = items(sink("hook"), sink("late", **LATE))
    assert [item["name"] for item in json.loads(run("sink", "list").out)["items"]] == ["hook", "late"]
    code, shown = on_terminal(["sink", "list"])
    assert code == 0
    assert re.search(r"hook +webhook +ok +0 +- +5 +url=\*\*\*", shown)
    assert re.search(r"late +webhook +failing +10000 or more", shown)
    assert "late: the receiver [31manswered 503" in shown
    api.answers["GET /sinks"] = items()
    assert "[[sinks]]" in on_terminal(["sink", "list"])[1]


@pytest.mark.parametrize(("error", "code"), [("", 0), ("127.0.0.1:1: Connection refused", 1)])
def test_a_sink_is_tried(api: FakeApi, run: Run, error: str, code: int) -> None:
    api.answers["POST /sinks/hook/test"] = Canned({"delivered": not error, "error": error})
    ran = run("sink", "test", "hook")
    assert ran.code == code
    assert json.loads(ran.out) == {"delivered": not error, "error": error}
    assert (error in ran.err) if error else not ran.err
    code, shown = on_terminal(["sink", "test", "hook"])
    assert ("hook took a test entry" in shown) is not bool(error)
    assert code == int(bool(error))


def test_doctor_warns_of_a_sink_that_takes_nothing() -> None:
    well, late = check_sinks([sink("hook"), sink("late", **LATE)])
    assert (well.status, well.message) == (Status.OK, "webhook, has every entry")
    assert late.status is Status.WARN
    assert "10000 entries behind, since 2026-11-21T08:00:00Z" in late.message
    assert "coatcheck sink test late" in late.fix
