"""`coatcheck status`: how a gateway does in one look, and by the exit code whether it does well."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from cli.fake_api import Canned, FakeApi, items
from cli.ran import Run
from cli.terminal import on_terminal

SIGNED: dict[str, Any] = {
    "log": "989d9bec1b4b9d4c",
    "head": 48_210,
    "signed": 48_200,
    "signed_at": "2026-11-21T08:00:00.000000Z",
    "alarms": [],
    "moved": False,
    "file": "/d/checkpoints.log",
    "error": "",
}
HERE = {"name": "here", "transport": "http", "state": "ready", "degraded": False, "last_error": ""}
SINK = {"name": "siem", "kind": "syslog", "lag": 0, "behind_since": None, "error": ""}


def credential(name: str, reason: str) -> dict[str, Any]:
    return {"credential": {"name": name, "used_by": []}, "reasons": [reason]}


@pytest.fixture
def well(api: FakeApi) -> FakeApi:
    api.answers["GET /status"] = api.status(checkpoints=SIGNED, sinks=[SINK], blocking=[], damaged=[])
    api.answers["GET /servers"] = items(HERE)
    api.answers["GET /credentials/plan"] = items(credential("old", "overdue"))
    return api


def test_all_is_well(well: FakeApi, run: Run) -> None:
    ran = run("status")
    told = json.loads(ran.out)
    assert (ran.code, told["well"], told["wrong"]) == (0, True, [])
    assert told["gateway"]["checkpoints"]["head"] == 48_210
    assert told["servers"] == [HERE]
    assert told["credentials"] == [{"name": "old", "reasons": ["overdue"]}]
    code, shown = on_terminal(["status"])
    assert code == 0
    for words in (
        "written, up to entry 48210",
        "up to entry 48200, ",
        "siem has every entry",
        "1: 1 ready",
        "late: old",
    ):
        assert words in shown


WRONG: dict[str, tuple[str, dict[str, Any] | Canned, str]] = {
    "not ready": ("status", {"ready": False, "blocking": ["stopping"]}, "calls are refused: stopping"),
    "an alarm": (
        "status",
        {"checkpoints": {**SIGNED, "alarms": ["an older store"]}},
        "ALARM: an older store",
    ),
    "no checkpoints": (
        "status",
        {"checkpoints": {**SIGNED, "error": "checkpoints cannot be kept in /c.log: full"}},
        "checkpoints cannot be kept in /c.log: full",
    ),
    "a bad edit": (
        "status",
        {"config": {"path": "/s.json", "error": "1 problem", "problems": [], "notices": []}},
        "the last edit of /s.json is not used: 1 problem",
    ),
    "a changed row": ("status", {"damaged": ["grant x"]}, "changed outside of the gateway"),
    "a sink": (
        "status",
        {"sinks": [{**SINK, "lag": 9, "error": "refused"}]},
        "the sink siem takes nothing: refused",
    ),
    "a server": (
        "servers",
        items({**HERE, "state": "failing", "last_error": "no route"}),
        "the server here fails: no route",
    ),
    "a credential": ("credentials/plan", items(credential("gh", "failing")), "the credential gh is failing"),
}


@pytest.mark.parametrize("wrong", WRONG)
def test_what_is_wrong_is_said_and_is_the_exit_code(well: FakeApi, run: Run, wrong: str) -> None:
    path, changed, words = WRONG[wrong]
    if isinstance(changed, Canned):
        well.answers[f"GET /{path}"] = changed
    else:
        well.answers["GET /status"] = well.status(**{"checkpoints": SIGNED, **changed})
    ran = run("status")
    told = json.loads(ran.out)
    assert (ran.code, told["well"], len(told["wrong"])) == (1, False, 1)
    assert words in told["wrong"][0]
    code, shown = on_terminal(["status"])
    assert (code, words in " ".join(shown.split())) == (1, True)


def test_an_older_gateway_says_less(well: FakeApi, run: Run) -> None:
    well.answers["GET /status"] = well.status()
    assert run("status").code == 0
    assert on_terminal(["status"])[0] == 0


def test_no_gateway(data: Path, run: Run) -> None:
    assert run("status").code == 69
