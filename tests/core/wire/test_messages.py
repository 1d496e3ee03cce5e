"""Messages: what callers may send, byte for byte what goes on, and what servers may answer."""

# ruff: noqa: UP031  # braces are what these texts are made of
from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck.core.wire import messages
from coatcheck.core.wire.messages import (
    CallerNotice,
    CallerReply,
    Incoming,
    Unreadable,
    read_incoming,
    read_message,
)
from coatcheck.model.call import Call, Fault, Result
from doubles.json_texts import NUMBERS, damaged, read_slowly, texts

BRIEF = settings(max_examples=250, deadline=None)


def envelope(rest: str, id: str = "1") -> bytes:
    return f'{{"jsonrpc":"2.0","id":{id},{rest}}}'.encode()


def called(params: str) -> bytes:
    return envelope(f'"method":"tools/call","params":{params}')


def refusal_of(body: bytes) -> Unreadable:
    with pytest.raises(Unreadable) as refusal:
        read_message(body)
    return refusal.value


# --- what is accepted ---------------------------------------------------------------------------------------


def test_a_call_keeps_every_value_raw_and_in_order() -> None:
    body = (
        b'\t{ "id" : "a\\u0062" , "params" : {"arguments": {"n" : 1E2 } , "_meta":{"k": [ 1 ]}, "name":"x"},'
    )
    body += b'"method":"tools\\/call","jsonrpc":"2.0" }\n'
    expected = Call(
        b'"a\\u0062"', "tools/call", {"arguments": b'{"n" : 1E2 }', "name": b'"x"'}, {"k": b"[ 1 ]"}
    )
    found = read_message(body)
    assert found == expected
    assert isinstance(found, Call)
    assert list(found.params) == ["arguments", "name"]


@pytest.mark.parametrize(
    "lexeme", [*NUMBERS, '"\\u00e9\\/"', '"\\ud83d\\ude00"', "[ ]", '{ "__proto__" : {"a":1} }']
)
def test_lexemes_go_on_as_they_came(lexeme: str) -> None:
    found = read_message(called('{"name":"x","arguments":{"n": %s }}' % lexeme))
    assert isinstance(found, Call)
    assert found.params["arguments"] == b'{"n": %b }' % lexeme.encode()


@BRIEF
@given(texts(unique=True))
def test_any_arguments_go_on_byte_for_byte(text: str) -> None:
    found = read_message(called('{"name":"x","arguments":%s}' % text))
    assert isinstance(found, Call)
    assert found.params["arguments"] == text.encode()
    sent = messages.request(b"7", found.method, found.params)
    assert (
        sent
        == b'{"jsonrpc":"2.0","id":7,"method":"tools/call","params":{"name":"x","arguments":%b}}'
        % text.encode()
    )
    assert read_slowly(sent)["params"]["arguments"] == read_slowly(text.encode())


@settings(BRIEF, max_examples=400)
@given(damaged())
@example(b'{"a":0,"\\u0061":0}')
def test_a_call_that_is_accepted_says_one_thing_to_every_reader(raw: bytes) -> None:
    """As arguments, so that anything that could break out of them is seen in the members around."""
    body = b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"x","arguments":%b}}' % raw
    try:
        found = read_message(body)
    except Unreadable as refusal:
        assert refusal.number in {-32700, -32600, -32602}  # noqa: PT017  # either way is right
        return
    slow = read_slowly(body)
    assert isinstance(found, Call)
    assert {name: read_slowly(value) for name, value in found.params.items()} == slow["params"]
    first = json.loads(body, object_pairs_hook=lambda pairs: dict(reversed(pairs)), parse_int=str)
    assert first == slow == json.loads(body, parse_int=str)


@pytest.mark.parametrize(
    "id",
    [
        "0",
        "-0",
        "1",
        "-1",
        "9007199254740991",
        "-9007199254740991",
        '""',
        '"a"',
        '"%s"' % ("a" * 256),
        '"é"',
        '"\\u0041"',
        '"1"',
    ],
)
def test_ids_are_echoed_as_they_came(id: str) -> None:
    found = read_message(envelope('"method":"ping"', id))
    assert isinstance(found, Call)
    assert found.id == id.encode()
    assert (
        messages.response(found.id, Result(b"{}")) == b'{"jsonrpc":"2.0","id":%b,"result":{}}' % id.encode()
    )


def test_a_notification_has_no_id() -> None:
    body = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"a","reason":"b"}}'
    expected = CallerNotice("notifications/cancelled", {"requestId": b'"a"', "reason": b'"b"'})
    assert read_message(body) == expected
    assert read_message(b'{"jsonrpc":"2.0","method":"notifications/initialized"}') == CallerNotice(
        "notifications/initialized"
    )


def test_a_reply_of_a_client_is_told_from_a_request() -> None:
    assert read_message(envelope('"result":{"a": 1}')) == CallerReply(b"1", Result(b'{"a": 1}'))
    fault = envelope('"error":{"code":-1,"message":"no","data":[ 1 ]}')
    assert read_message(fault) == CallerReply(b"1", Fault(-1, "no", b"[ 1 ]"))


# --- what is refused ----------------------------------------------------------------------------------------

UNREADABLE = (
    b"", b"null\x00", b"{", b"\xff{}", b'{"jsonrpc":"2.0","id":1,"method":"ping"', b"[", b"[NaN]",
    envelope('"method":"ping"') * 2, envelope('"method":"ping","params":{"a":1e400}'),
    envelope('"method":"\\ud800"'), envelope('"method":"ping",'), envelope("'method':'ping'"),
)  # fmt: skip

NO_REQUEST = (
    # not one object
    b"[]", b"[1]", b"null", b"true", b"1", b'"ping"', b"[{}]", b"{}", b"[" + envelope('"method":"ping"') + b"]",
    b"[" + envelope('"method":"ping"') + b"," + envelope('"method":"tools/call"', "2") + b"]", b"[[]]",
    # jsonrpc
    b'{"id":1,"method":"ping"}', b'{"jsonrpc":2.0,"id":1,"method":"ping"}', b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
    b'{"jsonrpc":"2","id":1,"method":"ping"}', b'{"jsonrpc":null,"id":1,"method":"ping"}', b'{"jsonrpc":["2.0"],"id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0 ","id":1,"method":"ping"}', b'{"JSONRPC":"2.0","id":1,"method":"ping"}',
    # method
    envelope('"method":1'), envelope('"method":null'), envelope('"method":[]'), envelope('"method":{}'), envelope('"method":true'),
    # params
    envelope('"method":"ping","params":[]'), envelope('"method":"ping","params":null'), envelope('"method":"ping","params":"a"'),
    envelope('"method":"ping","params":1'), envelope('"method":"ping","params":false'), b'{"jsonrpc":"2.0","method":"x","params":[]}',
    # kind
    b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","result":{}}', b'{"jsonrpc":"2.0","error":{"code":1,"message":""}}',
    envelope('"result":{},"error":{"code":1,"message":""}'), envelope('"error":{}'), envelope('"error":{"code":"1","message":""}'),
    envelope('"error":{"code":1.5,"message":""}'), envelope('"error":{"code":1,"message":null}'), envelope('"error":null'), envelope('"error":"x"'),
    envelope('"method":"ping","result":{}'), envelope('"method":"ping","error":{"code":1,"message":"x"}'), envelope('"params":{}'),
    # unknown members
    envelope('"method":"ping","extra":1'), envelope('"method":"ping","_meta":{}'), envelope('"result":{},"method2":"x"'), envelope('"method":"ping","":1'),
    envelope('"method":"ping","__proto__":{}'), envelope('"method":"ping","n\\u0430me":1'),
    # equal members and look-alikes of the envelope
    envelope('"method":"ping","method":"tools/call"'), envelope('"method":"ping","\\u006dethod":"tools/call"'),
    envelope('"method":"ping","Method":"tools/call"'), envelope('"method":"ping","METHOD":"x"'), envelope('"Method":"ping"'),
    envelope('"method":"ping","id":2'), envelope('"method":"ping","ID":2'), envelope('"method":"ping","\u0131d":2'), envelope('"method":"ping","param\\u017f":{}'),
    envelope('"method":"ping","params":{},"Params":{}'), envelope('"method":"ping","jsonrpc":"2.0"'), envelope('"result":{},"Result":{}'),
    envelope('"method":"ping","re\u017fult":{}'), envelope('"method":"ping","\uff45rror":{}'),
    # equal members and look-alikes of params
    called('{"name":"a","name":"b"}'), called('{"name":"a","n\\u0061me":"b"}'), called('{"name":"a","Name":"b"}'), called('{"Name":"a"}'),
    called('{"name":"a","arguments":{},"Arguments":{}}'), called('{"name":"a","arguments":{},"argument\u017f":{}}'),
    called('{"name":"a","_meta":{},"_meta":{}}'), called('{"name":"a","_META":{}}'), called('{"uri":"a","URI":"b"}'), called('{"uri":"a","u\\u0072i":"b"}'),
    called('{"cursor":"a","Cursor":"b"}'), called('{"ref":{},"REF":{}}'), called('{"name":"a","arguments":{"a":1,"a":2}}'),
    called('{"name":"a","_meta":{"progressToken":1,"progressToken":2}}'), called('{"\uff4eame":"a"}'), called('{"x":1,"X":2}'),
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":1,"RequestID":2}}',
    b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestid":1}}',
    # too much
    called('{"name":"a","arguments":{"a":%s0%s}}' % ("[" * 62, "]" * 62)), called("{%s}" % ",".join(f'"{n}":0' for n in range(1_001))),
    called('{"name":"a","arguments":[%s]}' % ",".join("0" * 100_000)),
)  # fmt: skip


@pytest.mark.parametrize("body", UNREADABLE, ids=[repr(body)[:50] for body in UNREADABLE])
def test_what_is_not_json_is_a_parse_error_without_an_id(body: bytes) -> None:
    refusal = refusal_of(body)
    assert (refusal.number, refusal.id) == (-32700, None)


@pytest.mark.parametrize("body", NO_REQUEST, ids=[repr(body)[:70] for body in NO_REQUEST])
def test_what_is_ambiguous_or_no_message_is_an_invalid_request(body: bytes) -> None:
    refusal = refusal_of(body)
    assert refusal.number == -32600
    assert refusal.id in {None, b"1"}
    assert len(refusal.message) < 300


@pytest.mark.parametrize(
    "id",
    [
        "null", "true", "false", "[]", "{}", "1.0", "1e0", "1E2", "-1.5", "9007199254740992", "-9007199254740992", "9007199254740993",
        "9" * 80, '"%s"' % ("a" * 257), '"\\u0000"', '"a\\n"', '"\\u200b"', '"\\u202e"', '["a"]', '{"a":1}',
    ],
)  # fmt: skip
def test_ids_of_any_other_kind_are_refused_and_not_echoed(id: str) -> None:
    refusal = refusal_of(envelope('"method":"ping"', id))
    assert (refusal.number, refusal.id) == (-32600, None)


@pytest.mark.parametrize("meta", ["null", "[]", '"a"', "1", "true"])
def test_meta_must_be_an_object(meta: str) -> None:
    refusal = refusal_of(called('{"name":"a","_meta":%s}' % meta))
    assert (refusal.number, refusal.id) == (-32602, b"1")


def test_a_refusal_of_a_long_name_stays_short() -> None:
    for body in (
        envelope('"method":"ping","%s":1' % ("x" * 10_000)),
        called('{"%s":1,"%s":1}' % ("x" * 10_000, "X" * 10_000)),
    ):
        refusal = refusal_of(body)
        assert refusal.number == -32600
        assert len(refusal.message) < 300


# --- what servers send --------------------------------------------------------------------------------------

FROM_SERVERS: tuple[tuple[bytes, Incoming], ...] = (
    (b'{"jsonrpc":"2.0","id":1,"result":{ "a":1E2 }}', Incoming(b"1", reply=Result(b'{ "a":1E2 }'))),
    (b'{"result":{},"id":"x","jsonrpc":"2.0","extra":[1]}', Incoming(b'"x"', reply=Result(b"{}"))),
    (b'{"jsonrpc":"2.0","id":1,"result":{},"error":null}', Incoming(b"1", reply=Result(b"{}"))),
    (b'{"jsonrpc":"2.0","id":1,"error":{"code":-32601,"message":"no","more":1}}', Incoming(b"1", reply=Fault(-32601, "no"))),
    (b'{"jsonrpc":"2.0","id":1,"result":null,"error":{"code":1,"message":"a","data":[ 1 ]}}', Incoming(b"1", reply=Fault(1, "a", b"[ 1 ]"))),
    (b'{"jsonrpc":"2.0","id":null,"error":{"code":1,"message":""}}', Incoming(b"null", reply=Fault(1, ""))),
    (b'{"jsonrpc":"2.0","method":"a","params":{"b": 1}}', Incoming(None, "a", b'{"b": 1}')),
    (b'{"jsonrpc":"2.0","method":"a"}', Incoming(None, "a")),
    (b'{"jsonrpc":"2.0","method":"a","params":null}', Incoming(None, "a")),
    (b'{"jsonrpc":"2.0","id":7,"method":"ping"}', Incoming(b"7", "ping")),
    (b'{"jsonrpc":"2.0","id":1,"result":{"a":1e300,"a":"1e999"}}', Incoming(b"1", reply=Result(b'{"a":1e300,"a":"1e999"}'))),
    (b'{"jsonrpc":"2.0","id":1,"result":{"n":%b}}' % (b"9" * 500), Incoming(b"1", reply=Result(b'{"n":%b}' % (b"9" * 500)))),
)  # fmt: skip

JUNK = (
    b"", b"hello", b"null", b"[]", b"{}", b'"x"', b'[{"jsonrpc":"2.0","id":1,"result":{}}]', b'{"id":1,"result":{}}',
    b'{"jsonrpc":"1.0","id":1,"result":{}}', b'{"jsonrpc":2.0,"id":1,"result":{}}', b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0"}',
    b'{"jsonrpc":"2.0","id":1,"result":[]}', b'{"jsonrpc":"2.0","id":1,"result":"x"}', b'{"jsonrpc":"2.0","id":1,"result":null}',
    b'{"jsonrpc":"2.0","id":1,"result":1}', b'{"jsonrpc":"2.0","id":1,"error":{}}', b'{"jsonrpc":"2.0","id":1,"error":"x"}',
    b'{"jsonrpc":"2.0","id":1,"error":{"code":"1","message":"x"}}', b'{"jsonrpc":"2.0","id":1,"error":{"code":%b,"message":"x"}}' % (b"9" * 40),
    b'{"jsonrpc":"2.0","method":1}', b'{"jsonrpc":"2.0","method":"a","params":[]}', b'{"jsonrpc":"2.0","method":"a","params":"b"}',
    b'{"jsonrpc":"2.0","id":1,"result":{}', b'{"jsonrpc":"2.0","id":1,"result":{}} {}', b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xff"}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"a":"\xed\xa0\x80"}}', b'{"jsonrpc":"2.0","id":1,"result":{"a":"\\ud800"}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"\\udc00":1}}', b'{"jsonrpc":"2.0","id":1,"result":{"a":1e999}}', b'{"jsonrpc":"2.0","id":1,"result":{"a":NaN}}',
    b'{"jsonrpc":"2.0","id":1,"result":{"a":01}}', b'{"jsonrpc":"2.0","id":1,"result":{"a":"\x01"}}',
    b'{"jsonrpc":"2.0","id":1,"result":%b1%b}' % (b'{"a":' * 100_000, b"}" * 100_000), b'{"jsonrpc":"2.0","id":1,"result":' + b'{"a":[' * 100_000,
    b'{"jsonrpc":"2.0","id":1,"result":{"n":1e999,"a":%b}}' % (b"[" * 100_000), b"\xef\xbb\xbf" + b'{"jsonrpc":"2.0","id":1,"result":{}}',
)  # fmt: skip


@pytest.mark.parametrize(
    ("body", "expected"), FROM_SERVERS, ids=[repr(body)[:60] for body, _ in FROM_SERVERS]
)
def test_messages_of_servers_are_read_leniently(body: bytes, expected: Incoming) -> None:
    assert read_incoming(body) == expected


@pytest.mark.parametrize("body", JUNK, ids=[repr(body)[:60] for body in JUNK])
def test_what_is_no_message_of_a_server_is_none(body: bytes) -> None:
    assert read_incoming(body) is None


@BRIEF
@given(damaged() | st.binary(max_size=30))
def test_no_bytes_of_a_server_raise(raw: bytes) -> None:
    for body in (
        raw,
        b'{"jsonrpc":"2.0","id":1,"result":{"a":%b}}' % raw,
        b'{"jsonrpc":"2.0","method":"a","params":%b}' % raw,
    ):
        found = read_incoming(body)
        if found is not None and isinstance(found.reply, Result):
            found.reply.raw.decode("utf-8")
            assert messages.members_of(found.reply.raw) is not None


# --- the quick way ----------------------------------------------------------------------------------------------

PARTS = st.sampled_from(
    [
        "name",
        "uri",
        "arguments",
        "_meta",
        "Name",
        "_META",
        "task",
        "ref",
        "cursor",
        "na\u017fe",
        "progressToken",
    ]
)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**60), 2**60)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=6),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(PARTS, inner, max_size=3),
    max_leaves=8,
)
ENVELOPES = st.fixed_dictionaries(
    {
        "jsonrpc": st.sampled_from(["2.0", "2.0", "2.0", "1.0"]),
        "id": st.integers(-(2**60), 2**60) | st.text(max_size=130) | VALUES,
        "method": st.sampled_from(["tools/call", "ping", "", "tools/li\u200bst"]) | VALUES,
        "params": st.dictionaries(PARTS, VALUES, max_size=4) | VALUES,
    },
    optional={"result": VALUES, "Method": VALUES},
)


def outcome_of(body: bytes) -> object:
    try:
        return read_message(body)
    except Unreadable as refusal:
        return refusal.number, refusal.id, str(refusal)


@settings(BRIEF, max_examples=600)
@given(ENVELOPES)
@example({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": {"arguments": {"a": 5e-324}}})
def test_the_quick_way_of_reading_reads_what_the_careful_one_does(message: dict[str, object]) -> None:
    """A line's end behind the message is no part of it, and sends it the careful way."""
    body = msgspec.json.encode(message)
    assert outcome_of(body) == outcome_of(body + b"\n")


# --- raw values and writing -----------------------------------------------------------------------------------


@settings(BRIEF, max_examples=60)
@given(st.dictionaries(st.text(), texts(unique=True), max_size=6))
def test_an_object_written_from_members_reads_back_as_them(members: dict[str, str]) -> None:
    raw = {name: text.strip(" \t\r\n").encode() for name, text in members.items()}
    written = messages.object_of(raw)
    assert messages.members_of(written) == raw
    assert read_slowly(written) == {name: read_slowly(value) for name, value in raw.items()}


@pytest.mark.parametrize(
    "raw", [b"", b"null", b"[1]", b"{", b'"a"', b"1", b"{]", b'{"a":}', b'{"a":' * 9_000]
)
def test_members_of_anything_else_are_none(raw: bytes) -> None:
    assert messages.members_of(b'{"a": 1}') == {"a": b"1"}
    assert messages.members_of(raw) is None


@pytest.mark.parametrize("raw", [b"", b"null", b"{}", b"[", b'"a"', b"1", b"[1,]", b"[" * 9_000])
def test_items_of_anything_else_are_none(raw: bytes) -> None:
    assert messages.items_of(b'[1, {"a": 2}]') == [b"1", b'{"a": 2}']
    assert messages.items_of(raw) is None


@pytest.mark.parametrize("raw", [None, b"", b"null", b"1", b"{}", b'"', b'"\\x"', b'["a"]', b'"\\ud800"'])
def test_text_of_anything_else_is_none(raw: bytes | None) -> None:
    assert messages.text_of(b'"a\\u0062"') == "ab"
    assert messages.text_of(raw) is None


@pytest.mark.parametrize(
    ("written", "read"),
    [
        (messages.request(b"7", "a\nb", {"é": b"[1]"}), {"id": "7", "method": "a\nb", "params": {"é": ["1"]}}),
        (messages.notification("a", b'{"b":1}'), {"method": "a", "params": {"b": "1"}}),
        (messages.notification("a"), {"method": "a", "params": {}}),
        (messages.response(b'"x"', Result(b'{"a":1}')), {"id": "x", "result": {"a": "1"}}),
        (messages.response(b"null", Fault(-1, 'a "b"')), {"id": None, "error": {"code": "-1", "message": 'a "b"'}}),
        (messages.response(b"1", Fault(-1, "a", b"[]")), {"id": "1", "error": {"code": "-1", "message": "a", "data": []}}),
    ],
)  # fmt: skip
def test_what_is_written_is_json_rpc(written: bytes, read: dict[str, Any]) -> None:
    assert read_slowly(written) == {"jsonrpc": "2.0", **read}
    assert b"\n" not in written
