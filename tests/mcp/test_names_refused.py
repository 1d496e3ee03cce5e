"""Names that look like another, on both routes: what is hidden and what does not exist are answered alike."""

from __future__ import annotations

import json

import pytest

from journeys.running import Hall
from journeys.wire import Got

LOOK_ALIKES = (
    "denied", "DENIED", "Denied", "denIed", " denied", "denied ", "denied\t", "\tdenied", "denied\n", "denied\r\n", "denied\u0000", "\u0000denied",
    "de\u200bnied", "de\u200dnied", "de\u2060nied", "\ufeffdenied", "de\u00adnied", "de\u202enied", "den\u0131ed", "d\u0435n\u0456ed", "\uff44enied",
    "\U0001d41dened", "denie\u0301d", "d\u00e9nied", "denied\u0332", "de nied", "den\\u0069ed", "%64enied", "denied%00", "denied/", "/denied", "./denied",
    "../srv/denied", "denied?x", "denied#x", "denied;x", "denied,allowed", "allowed,denied", "denied\u2028", "denied.", ".denied", "denied*", "*", "?", "den*",
)  # fmt: skip
ODD = (
    "srv__denied", "srv__srv__denied", "__denied", "srv__", "_denied", "srv_denied", "srv:denied", "srv/denied", "srv.denied", "a" * 128, "a" * 129,
    "a" * 100_000, "{{7*7}}", "${HOME}", "%s%n", "' OR '1'='1", "<script>alert(1)</script>", "__proto__", "constructor", "toString", "\u00e9",
    "\U0001f511", "-", "_", "0", "null", "true", "[object Object]",
)  # fmt: skip


def ask(hall: Hall, name: str, route: str) -> Got:
    shown = name if route == "/mcp/srv" else f"srv__{name}"
    return hall.ask("tools/call", {"name": shown, "arguments": {}}, path=route)


@pytest.mark.parametrize("route", ["/mcp", "/mcp/srv"])
@pytest.mark.parametrize("name", LOOK_ALIKES + ODD, ids=[ascii(name)[:40] for name in LOOK_ALIKES + ODD])
def test_no_spelling_reaches_a_hidden_tool(hall: Hall, name: str, route: str) -> None:
    if len(name) > 50_000:
        session = hall.session(route)  # too long for the header that a modern client owes
        position, calls = hall.last_position(), hall.peer.count("tools/call")
        got = session.ask("tools/call", {"name": name if route == "/mcp/srv" else f"srv__{name}"})
    else:
        position, calls = hall.last_position(), hall.peer.count("tools/call")
        got = ask(hall, name, route)
    shown = name if route == "/mcp/srv" else f"srv__{name}"
    assert got.status == 200
    assert got.json()["error"] == {"code": -32602, "message": f"Unknown tool: {shown}"}
    assert hall.peer.count("tools/call") == calls
    (entry,) = hall.since(position)
    assert entry["outcome"] == "denied"
    hall.good()


@pytest.mark.parametrize("route", ["/mcp", "/mcp/srv"])
def test_hidden_and_missing_differ_in_nothing_but_the_name(hall: Hall, route: str) -> None:
    hidden, missing = ask(hall, "denied", route), ask(hall, "absent", route)
    assert hidden.body.replace(b"denied", b"absent") == missing.body
    quiet = [
        {k: v for k, v in got.headers.items() if k not in {"date", "content-length", "coatcheck-receipt"}}
        for got in (hidden, missing)
    ]
    assert quiet[0] == quiet[1]
    receipts = [got.headers["coatcheck-receipt"].split("/") for got in (hidden, missing)]
    assert receipts[0][0] == receipts[1][0]
    assert int(receipts[1][1]) - int(receipts[0][1]) == 2  # one record and its outcome, for both
    assert ask(hall, "allowed", route).text == "{}"  # what is allowed is answered


@pytest.mark.parametrize(
    "name",
    [
        "tools",
        "srv",
        "echo",
        "other__echo",
        "SRV__echo",
        "srv__",
        "__echo",
        "",
        "srv\u200b__echo",
        "s__rv__echo",
    ],
)
def test_a_name_of_no_server_is_an_unknown_tool(hall: Hall, name: str) -> None:
    position, calls = hall.last_position(), hall.peer.count("tools/call")
    got = hall.ask("tools/call", {"name": name})
    assert got.json()["error"] == {"code": -32602, "message": f"Unknown tool: {name}"}
    assert hall.peer.count("tools/call") == calls
    (entry,) = hall.since(position)
    assert entry["decision"] == "hidden"


@pytest.mark.parametrize("route", ["/mcp", "/mcp/srv"])
def test_a_list_shows_what_can_be_called_and_nothing_else(hall: Hall, route: str) -> None:
    prefix = "" if route == "/mcp/srv" else "srv__"
    listed = [tool["name"] for tool in hall.ask("tools/list", path=route).result["tools"]]
    assert f"{prefix}allowed" in listed
    assert f"{prefix}denied" not in listed
    session = hall.session(route)
    assert [tool["name"] for tool in session.ask("tools/list").result["tools"]] == listed
    for name in (f"{prefix}echo", f"{prefix}allowed"):
        assert hall.ask("tools/call", {"name": name, "arguments": {}}, path=route).status == 200


@pytest.mark.parametrize("route", ["/mcp", "/mcp/srv"])
def test_prompts_and_completion_of_a_hidden_prompt_are_unknown_too(hall: Hall, route: str) -> None:
    prefix = "" if route == "/mcp/srv" else "srv__"
    listed = [prompt["name"] for prompt in hall.ask("prompts/list", path=route).result["prompts"]]
    assert listed == [f"{prefix}greet"]  # the rule on srv__denied governs a prompt of that name, too
    for method, params in (
        ("prompts/get", {"name": f"{prefix}denied"}),
        (
            "completion/complete",
            {
                "ref": {"type": "ref/prompt", "name": f"{prefix}denied"},
                "argument": {"name": "a", "value": ""},
            },
        ),
    ):
        calls, position = len(hall.peer.forwarded), hall.last_position()
        error = hall.ask(method, params, path=route).json()["error"]
        assert error == {"code": -32602, "message": f"Unknown prompt: {prefix}denied"}
        assert len(hall.peer.forwarded) == calls
        assert [entry["decision"] for entry in hall.since(position)] == ["hidden"]


def test_a_denial_tells_nothing_of_others(hall: Hall) -> None:
    body = ask(hall, "denied", "/mcp").body + json.dumps(dict(ask(hall, "denied", "/mcp").headers)).encode()
    for word in (b"alice", b"rule", b"acl", b"policy", b"hidden"):
        assert word not in body
