"""The server that comes along, as the program that the gateway runs."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

from coatcheck import sample
from coatcheck.operations.registry.serving.sample import TOOL, sample_server


def _say(*messages: dict[str, Any]) -> list[dict[str, Any]]:
    """Return what the server answers to messages, started as it is registered."""
    new = sample_server()
    assert new.command == sys.executable
    ran = subprocess.run(
        [new.command, *(one.reveal() for one in new.args)],
        input="".join(json.dumps({"jsonrpc": "2.0", **message}) + "\n" for message in messages),
        capture_output=True,
        text=True,
        timeout=20,
        check=True,
    )
    assert ran.stderr == ""
    return [json.loads(line) for line in ran.stdout.splitlines()]


def _call(id: int, name: str, **arguments: Any) -> dict[str, Any]:
    return {"id": id, "method": "tools/call", "params": {"name": name, "arguments": arguments}}


def test_it_greets_lists_and_is_called() -> None:
    greeted, listed, called = _say(
        {"id": 1, "method": "initialize", "params": {"protocolVersion": sample.VERSION}},
        {"method": "notifications/initialized"},
        {"id": 2, "method": "tools/list"},
        _call(3, TOOL),
    )
    assert greeted["result"]["protocolVersion"] == sample.VERSION
    names = {tool["name"]: tool["annotations"]["readOnlyHint"] for tool in listed["result"]["tools"]}
    assert names == {"list_coats": True, "count_hooks": True, "hang_up": False, "hand_out": False}
    assert "umbrella" in called["result"]["content"][0]["text"]


def test_what_is_hung_up_is_handed_out_once() -> None:
    said = _say(
        _call(1, "hang_up", thing="hat"),
        _call(2, "hand_out", ticket=4),
        _call(3, "hand_out", ticket=4),
        _call(4, "count_hooks"),
    )
    texts = [one["result"]["content"][0]["text"] for one in said]
    assert texts[:2] == ["Hung up. The ticket is 4.", "Here is the hat."]
    assert [one["result"]["isError"] for one in said] == [False, False, True, False]
    assert texts[3].startswith("97 of 100")


def test_odd_questions_are_answered_and_end_nothing() -> None:
    said = _say(
        _call(1, "no_such_tool"),
        _call(2, "hang_up", thing=""),
        _call(3, "hang_up", thing="x" * 201),
        _call(4, "hand_out", ticket="one"),
        {"id": 5, "method": "resources/list"},
        {"id": 6, "method": "ping"},
    )
    assert said[0]["error"]["code"] == -32602
    assert [one["result"]["isError"] for one in said[1:4]] == [True, True, True]
    assert said[4]["error"]["code"] == -32601
    assert said[5]["result"] == {}
