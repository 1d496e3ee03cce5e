"""Reading answers without a gateway: ids, lines, and what may have been missed."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.bridge import answers, missed
from coatcheck.bridge.answers import Replied
from coatcheck.bridge.tools import Tools
from coatcheck.bridge.trouble import Trouble
from coatcheck.core.wire import messages
from coatcheck.model.call import Call, Fault, Result

BRIEF = settings(max_examples=80, deadline=None)
VALUES = st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8), lambda below: st.lists(below, max_size=3) | st.dictionaries(st.text(max_size=4), below, max_size=3), max_leaves=12)  # fmt: skip


@BRIEF
@given(VALUES, st.sampled_from([None, 1, 4]), st.sampled_from(["\n", "\r\n", "\r"]))
def test_a_message_stays_itself_on_one_line(value: Any, indent: int | None, end: str) -> None:
    written = json.dumps(value, indent=indent).replace("\n", end).encode()
    line = answers.one_line(written)
    assert b"\n" not in line
    assert b"\r" not in line
    assert json.loads(line) == value


@pytest.mark.parametrize(
    ("ours", "theirs", "same"),
    [
        (b"1", b"1", True), (b'"a"', b'"\\u0061"', True), (b'"1"', b"1", False), (b"1", b"2", False), (b"1", b"1.0", False), (b'"a"', b'"A"', False), (b'"a"', b"[]", False),
        (b"12345678901234567890", b"12345678901234567891", False),
    ],
)  # fmt: skip
def test_ids_are_the_same_in_every_spelling_of_a_string(ours: bytes, theirs: bytes, same: bool) -> None:
    incoming = messages.read_incoming(b'{"jsonrpc":"2.0","id":%b,"result":{"x":1}}' % theirs)
    assert incoming is not None
    assert answers.is_for(incoming, ours) is same


def test_only_an_error_may_lack_its_id() -> None:
    for id in (b"", b'"id":null,'):
        for member, is_ours in ((b'"error":{"code":1,"message":"x"}', True), (b'"result":{}', False)):
            incoming = messages.read_incoming(b'{"jsonrpc":"2.0",%b%b}' % (id, member))
            assert incoming is not None
            assert answers.is_for(incoming, b"7") is is_ours


@BRIEF
@given(st.integers(100, 599), st.binary(max_size=60))
def test_any_body_is_a_reply_or_a_trouble(status: int, body: bytes) -> None:
    with pytest.raises(Trouble) as caught:
        answers.read_body(status, body, b"1")
    assert caught.value.message
    assert caught.value.message.isprintable()


def test_everything_that_was_listened_to_may_have_changed() -> None:
    def told(params: Any) -> list[Any]:
        return [json.loads(message) for message in missed.on_listen(json.dumps(params, indent=1).encode())]

    meta = {"io.modelcontextprotocol/subscriptionId": "a"}
    honoured = {"toolsListChanged": True, "promptsListChanged": True, "resourcesListChanged": False, "resourceSubscriptions": ["x://1", "x://2"]}  # fmt: skip
    found = told({"notifications": honoured, "_meta": meta})
    assert [(it["method"], it["params"].get("uri")) for it in found] == [
        ("notifications/tools/list_changed", None),
        ("notifications/prompts/list_changed", None),
        ("notifications/resources/updated", "x://1"),
        ("notifications/resources/updated", "x://2"),
    ]
    assert all(it["params"]["_meta"] == meta for it in found)
    nothings: list[Any] = [{}, {"notifications": {}}, {"notifications": []}, [], {"notifications": {"toolsListChanged": 1}}]  # fmt: skip
    for nothing in nothings:
        assert told(nothing) == []


def test_memory_keeps_what_was_granted_and_is_bounded() -> None:
    memory = missed.Memory()

    def note(method: str, params: dict[str, bytes], *, refused: bool = False) -> None:
        memory.note(Call(b"1", method, params), Fault(-32602, "no") if refused else Result(b"{}"))

    note("logging/setLevel", {"level": b'"info"'})
    note("logging/setLevel", {"level": b'"debug"'})
    note("logging/setLevel", {"level": b'"refused"'}, refused=True)
    note("resources/subscribe", {"uri": b'"x://refused"'}, refused=True)
    note("tools/call", {"uri": b'"x://other"'})
    for number in range(1_500):
        note("resources/subscribe", {"uri": b'"x://%d"' % number})
    note("resources/unsubscribe", {"uri": b'"x://1499"'})
    assert memory.requests()[0] == ("logging/setLevel", {"level": b'"debug"'})
    assert len(memory.requests()) == 1_000
    assert memory.subscribed()[0] == b'"x://500"'
    assert memory.subscribed()[-1] == b'"x://1498"'


# --- tools ---------------------------------------------------------------------------------------------------


def listed(*tools: Any) -> Replied:
    reply = Result(json.dumps({"tools": tools}).encode())
    return Replied(reply, messages.response(b"1", reply))


def wanting(name: Any, header: str) -> Any:
    return {"name": name, "inputSchema": {"properties": {"a": {"type": "string", "x-mcp-header": header}}}}


def test_the_last_list_counts() -> None:
    tools = Tools(lambda _: None)
    call = Call(b"1", "tools/call", {"name": b'"t"', "arguments": b'{"a":"x"}'})
    assert tools.headers(call) == []
    tools.learn(listed(wanting("t", "One")), b"1")
    assert tools.headers(call) == [("Mcp-Param-One", "x")]
    tools.learn(listed(wanting("u", "Two")), b"1")
    assert tools.headers(call) == [("Mcp-Param-One", "x")]  # another page
    tools.learn(listed({"name": "t"}), b"1")
    assert tools.headers(call) == []


@pytest.mark.parametrize("result", [b"{}", b'{"tools":{}}', b'{"tools":[1,null,"x",{}]}', b'{"tools":[{"name":5}]}', b'{"tools":[{"name":"t","inputSchema":7}]}'])  # fmt: skip
def test_lists_of_anything_pass(result: bytes) -> None:
    replied = Replied(Result(result), b"the line")
    assert Tools(lambda _: None).learn(replied, b"1") is replied
