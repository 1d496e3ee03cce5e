"""Bodies that are refused before any policy sees them, sent over HTTP in both eras: answer, record, silence upstream."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest

from journeys.running import Hall, Session
from journeys.wire import META, Got, frame, modern_headers

META_TEXT = json.dumps(META)


@pytest.fixture(scope="module")
def session(hall: Hall) -> Iterator[Session]:
    opened = hall.session()
    yield opened
    opened.end()


def send(
    hall: Hall, session: Session | None, body: bytes, method: str = "tools/call", name: str | None = None
) -> Got:
    """Send a body with the headers of its era."""
    if session is not None:
        return hall.raw(session.frame(body))[0]
    return hall.raw(frame(body, headers={**hall.bearer, **modern_headers(method, name)}))[0]


def owed(hall: Hall, got: Got, position: int, calls: int, status: int, *codes: int) -> None:
    """Check the answer, the one record and that no server heard of it."""
    assert (got.status, got.code in codes) == (status, True), got
    assert got.headers["content-type"] == "application/json"
    assert len(hall.peer.forwarded) == calls
    (entry,) = hall.since(position)
    found = {name: entry[name] for name in ("subject", "decision", "rule", "outcome", "route", "client_ip")}
    assert found == {
        "subject": "alice", "decision": "denied", "rule": "(request)", "outcome": "denied", "route": "/mcp", "client_ip": "127.0.0.1",
    }  # fmt: skip
    assert str(got.code) in entry["reason"]
    hall.good()


def deep(levels: int) -> bytes:
    return b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":' + b"[" * levels + b"]" * levels + b"}}"


NOT_JSON = (
    b"", b" ", b"\n", b"{", b"}", b"[", b"]", b'"', b'"a', b"{]", b'{"a"}', b'{"a":}', b'{"a":1,}', b'{,"a":1}', b"{a:1}", b"{'a':1}",
    b'{"a" 1}', b'{"a":1 "b":2}', b'{"a":1}}', b'{"a":1}{"a":1}', b'{"a":1}\n{"a":1}', b'{"a":1},', b'{"a":1}#', b'{"a":1}\x00', b"\x00",
    b"[1,]", b"[,1]", b"[1 2]", b'{"a":[1', b'{"a":1/*c*/}', b'{"a":1}//c', b'{"a":01}', b'{"a":+1}', b'{"a":.5}', b'{"a":5.}', b'{"a":1e}',
    b'{"a":1e+}', b'{"a":0x1}', b'{"a":1_0}', b'{"a":-}', b"--1", b'{"a":1a}', b'{"a":\xef\xbc\x91}', b'{"a":NaN}', b'{"a":Infinity}',
    b'{"a":-Infinity}', b'{"a":nan}', b'{"a":True}', b'{"a":TRUE}', b'{"a":nul}', b'{"a":undefined}', b"a=b", b"<a/>", b'{"a":"\t"}', b'{"a":"\n"}',
    b'{"a":"\x00"}', b'{"a":"\x1f"}', b'{"a":"\\x41"}', b'{"a":"\\u12"}', b'{"a":"\\u{41}"}', b'{"a":"\\U0041"}', b'{"a":"\\"}', b'{"a":"\\ "}',
    b'{"a":"\\ud800"}', b'{"a":"\\udc00"}', b'{"a":"\\ud800\\u0041"}', b'{"a":"\\udc00\\ud800"}', b'{"\\ud800":1}', b'{"a":"\xff"}',
    b'{"a":"\xc0\xaf"}', b'{"a":"\xed\xa0\x80"}', b'{"a":"\xf4\x90\x80\x80"}', b'{"a":"\xe2\x82"}', b"\xef\xbb\xbf{}", b"\xff\xfe{\x00}\x00",
    b"\xfe\xff\x00{\x00}", b"\xff\xfe\x00\x00{\x00\x00\x00}\x00\x00\x00", b'{"a":1e400}', b'{"a":-1e400}', b'{"a":1e309}', b"\xc2\xa0{}", b"\x0c{}",
    b'{"a":1.' + b"1" * 60 + b"}", b'{"a":0e99999999999}',
)  # fmt: skip


@pytest.mark.parametrize("body", NOT_JSON, ids=[repr(body)[:40] for body in NOT_JSON])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_what_is_not_json_is_a_parse_error(hall: Hall, session: Session, era: str, body: bytes) -> None:
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    got = send(hall, session if era == "legacy" else None, body)
    owed(hall, got, position, calls, 400, -32700)
    assert got.json()["id"] is None


def call(params: str) -> bytes:
    return (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":'
        + params.replace("META", META_TEXT).encode()
        + b"}"
    )


INVALID = (
    # not one object
    b"[]", b"[1]", b"true", b"null", b"1", b'"x"', b"{}",
    b"[" + call('{"name":"srv__allowed","_meta":META}') + b"," + call('{"name":"srv__denied","_meta":META}') + b"]",
    # equal members, also after unescaping
    b'{"jsonrpc":"2.0","jsonrpc":"2.0","id":1,"method":"ping"}', b'{"jsonrpc":"2.0","id":1,"id":2,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","method":"tools/call","params":{"name":"srv__denied"}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","\\u006dethod":"tools/call"}', b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{},"params":{}}',
    call('{"name":"srv__allowed","name":"srv__denied","_meta":META}'), call('{"name":"srv__allowed","n\\u0061me":"srv__denied","_meta":META}'),
    call('{"name":"srv__allowed","arguments":{"a":1,"a":2},"_meta":META}'), call('{"name":"srv__allowed","arguments":{"a":1,"\\u0061":2},"_meta":META}'),
    call('{"name":"srv__allowed","arguments":{},"arguments":{"x":1},"_meta":META}'), call('{"name":"srv__allowed","_meta":{},"_meta":META}'),
    call('{"name":"srv__allowed","arguments":{"a":[{"b":1,"b":1}]},"_meta":META}'),
    # members that look like others
    call('{"name":"srv__allowed","Name":"srv__denied","_meta":META}'), call('{"name":"srv__allowed","NAME":"srv__denied","_meta":META}'),
    call('{"name":"srv__allowed","\\uff4eame":"srv__denied","_meta":META}'), call('{"name":"srv__allowed","argument\\u017f":{},"_meta":META}'),
    call('{"name":"srv__allowed","Arguments":{},"_meta":META}'), call('{"name":"srv__allowed","_Meta":{},"_meta":META}'),
    call('{"name":"srv__allowed","URI":"x","_meta":META}'), b'{"jsonrpc":"2.0","id":1,"method":"ping","Method":"tools/call"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","METHOD":"tools/call"}', b'{"jsonrpc":"2.0","id":1,"method":"ping","param\\u017f":{}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","ID":2}', b'{"jsonrpc":"2.0","id":1,"method":"ping","JsonRpc":"2.0"}',
    # the envelope
    b'{"jsonrpc":"2.0","id":1,"method":"ping","extra":1}', b'{"jsonrpc":"2.0","id":1,"method":"ping","result":{}}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","error":{"code":1,"message":"x"}}', b'{"id":1,"method":"ping"}',
    b'{"jsonrpc":2.0,"id":1,"method":"ping"}', b'{"jsonrpc":"1.0","id":1,"method":"ping"}', b'{"jsonrpc":"2","id":1,"method":"ping"}',
    b'{"jsonrpc":"\\u0032.0","id":1,"method":"ping"}', b'{"jsonrpc":null,"id":1,"method":"ping"}', b'{"jsonrpc":["2.0"],"id":1,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":1}', b'{"jsonrpc":"2.0"}', b'{"jsonrpc":"2.0","id":1,"method":null}', b'{"jsonrpc":"2.0","id":1,"method":1}',
    b'{"jsonrpc":"2.0","id":1,"method":[]}', b'{"jsonrpc":"2.0","id":1,"method":{}}', b'{"jsonrpc":"2.0","id":1,"method":"ping","params":[]}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":null}', b'{"jsonrpc":"2.0","id":1,"method":"ping","params":"x"}',
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":1}',
    # ids
    b'{"jsonrpc":"2.0","id":null,"method":"ping"}', b'{"jsonrpc":"2.0","id":true,"method":"ping"}', b'{"jsonrpc":"2.0","id":{},"method":"ping"}',
    b'{"jsonrpc":"2.0","id":[1],"method":"ping"}', b'{"jsonrpc":"2.0","id":1.5,"method":"ping"}', b'{"jsonrpc":"2.0","id":1e2,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":9007199254740993,"method":"ping"}', b'{"jsonrpc":"2.0","id":-9007199254740993,"method":"ping"}',
    b'{"jsonrpc":"2.0","id":' + b"9" * 400 + b',"method":"ping"}', b'{"jsonrpc":"2.0","id":"' + b"x" * 257 + b'","method":"ping"}',
    b'{"jsonrpc":"2.0","id":"a\\u0000b","method":"ping"}', b'{"jsonrpc":"2.0","id":"a\\nb","method":"ping"}', b'{"jsonrpc":"2.0","id":"\\u202ea","method":"ping"}',
    # replies that are none
    b'{"jsonrpc":"2.0","id":1,"result":{},"error":{"code":1,"message":"x"}}', b'{"jsonrpc":"2.0","id":1,"error":1}', b'{"jsonrpc":"2.0","result":{}}',
    # over a limit
    deep(65), deep(500), deep(1100), deep(100_000),
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{"a":[' + b"0," * 100_001 + b"0]}}",
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{' + b",".join(b'"k%d":0' % n for n in range(1001)) + b"}}",
    b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{' + b",".join(b'"k%d":0' % n for n in range(200_000)) + b"}}",
)  # fmt: skip


@pytest.mark.parametrize("body", INVALID, ids=[f"{n} {body[:60]!r}" for n, body in enumerate(INVALID)])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_what_can_be_taken_in_two_ways_is_an_invalid_request(
    hall: Hall, session: Session, era: str, body: bytes
) -> None:
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    got = send(hall, session if era == "legacy" else None, body, name="srv__allowed")
    owed(hall, got, position, calls, 400, -32600)


@pytest.mark.parametrize("reply", [b'"result":{}', b'"error":{"code":1,"message":"x"}'])
def test_only_sessions_have_requests_to_reply_to(hall: Hall, session: Session, reply: bytes) -> None:
    body, position, calls = (
        b'{"jsonrpc":"2.0","id":1,%b}' % reply,
        hall.last_position(),
        len(hall.peer.forwarded),
    )
    assert send(hall, session, body).status == 202  # whoever waited for it, or nobody any more
    assert hall.last_position() == position
    owed(hall, send(hall, None, body), position, calls, 400, -32600)


WRONG_PARAMS = (
    '{"_meta":META}', '{"name":null,"_meta":META}', '{"name":true,"_meta":META}', '{"name":1,"_meta":META}', '{"name":["srv__allowed"],"_meta":META}',
    '{"name":{"toString":"x"},"_meta":META}', '{"name":"srv__allowed","arguments":null,"_meta":META}', '{"name":"srv__allowed","arguments":[],"_meta":META}',
    '{"name":"srv__allowed","arguments":"{}","_meta":META}', '{"name":"srv__allowed","arguments":1,"_meta":META}',
)  # fmt: skip


@pytest.mark.parametrize("params", WRONG_PARAMS)
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_params_of_the_wrong_type_are_invalid(hall: Hall, session: Session, era: str, params: str) -> None:
    if era == "legacy":
        params = params.replace(',"_meta":META', "").replace('"_meta":META', "")
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    name = "srv__allowed" if "arguments" in params else None
    got = send(hall, session if era == "legacy" else None, call(params), name=name)
    owed(hall, got, position, calls, 400, -32602)
    assert got.json()["id"] == 1


METHODS = {
    "prompts/get": ('{"name":1}', '{"name":"srv__greet","arguments":[]}', "{}"),
    "resources/read": ("{}", '{"uri":1}', '{"uri":["peer://one"]}'),
    "completion/complete": ("{}", '{"ref":1,"argument":{}}', '{"ref":{},"argument":"a"}'),
    "tools/list": ('{"cursor":1}', '{"cursor":null}'),
    "resources/templates/list": ('{"cursor":{}}',),
}


@pytest.mark.parametrize(("method", "params"), [(m, p) for m, all_ in METHODS.items() for p in all_])
def test_params_of_every_method_are_checked(hall: Hall, session: Session, method: str, params: str) -> None:
    body = f'{{"jsonrpc":"2.0","id":"x","method":"{method}","params":{params}}}'.encode()
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    owed(hall, send(hall, session, body), position, calls, 400, -32602)


UNKNOWN = (
    "", " ", "tools/call ", " tools/call", "Tools/Call", "TOOLS/CALL", "tools/call/", "tools//call", "/tools/call", "tools/call/../list", "tools.call",
    "tools/call\u0000", "tools/c\u0430ll", "tools\u2215call", "tools/call\u200b", "rpc.discover", "tasks/get", "tasks/cancel", "tasks/list", "tasks/update",
    "elicitation/create", "sampling/createMessage", "roots/list",
    "notifications/initialized", "notifications/cancelled", "initialize ", "system.listMethods", "__proto__", "constructor", "x" * 5000, "admin/users",
)  # fmt: skip


OF_SESSIONS = ["logging/setLevel", "resources/subscribe", "resources/unsubscribe"]


@pytest.mark.parametrize("method", [*UNKNOWN, *OF_SESSIONS], ids=lambda method: ascii(method)[:40])
def test_a_method_that_is_not_in_the_table_is_unknown_whatever_its_headers(hall: Hall, method: str) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "srv__allowed", "_meta": META}}
    ).encode()
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    got, _ = hall.raw(frame(body, headers={**hall.bearer, **modern_headers("tools/call", "srv__allowed")}))
    owed(hall, got, position, calls, 404, -32601)


@pytest.mark.parametrize(
    "method", [*UNKNOWN, "server/discover", "subscriptions/listen"], ids=lambda method: ascii(method)[:40]
)
def test_a_legacy_client_gets_unknown_methods_with_status_200(
    hall: Hall, session: Session, method: str
) -> None:
    body = json.dumps(
        {"jsonrpc": "2.0", "id": 1, "method": method, "params": {"name": "srv__allowed"}}
    ).encode()
    position, calls = hall.last_position(), len(hall.peer.forwarded)
    owed(hall, send(hall, session, body), position, calls, 200, -32601)


@pytest.mark.parametrize(
    "method",
    [
        "initialize",
        "ping",
        "logging/setLevel",
        "resources/subscribe",
        "resources/unsubscribe",
        "tasks/result",
    ],
)
def test_methods_that_the_modern_era_dropped_are_unknown_to_it(hall: Hall, method: str) -> None:
    got = hall.ask(method)
    assert (got.status, got.code) == (404, -32601)
    assert got.json()["id"] == 1


FAITHFUL = (
    '{"n":9007199254740993}', '{"n":123456789012345678901234567890}', '{"n":1E2}', '{"n":1.0}', '{"n":-0}', '{"n":1.10}', '{"n":1e-7}', '{"s":"\\u0061\\/"}',
    '{"s":"\\ud83d\\ude00"}', '{"s":"\u00e9\u2028"}', '{"__proto__":{"admin":true}}', '{"constructor":1}', '{"":1}', '{"Name":"x"}', '{ "a" : [ 1 , 2 ] }',
    '{"b":1,"a":2}', '{"a":{"_meta":1,"name":"denied"}}', "{}", '{"a":null}', '{"a":"\\u0000"}', '{"a":[' + ",".join(["[]"] * 500) + "]}",
)  # fmt: skip


@pytest.mark.parametrize("arguments", FAITHFUL, ids=[text[:40] for text in FAITHFUL])
@pytest.mark.parametrize("era", ["modern", "legacy"])
def test_what_is_clear_reaches_the_server_letter_by_letter(
    hall: Hall, session: Session, era: str, arguments: str
) -> None:
    params = f'{{"name":"srv__allowed","arguments":{arguments},"x-vendor":{{"n":1.50}},"_meta":META}}'
    if era == "legacy":
        params = params.replace(',"_meta":META', "")
    got = send(hall, session if era == "legacy" else None, call(params), name="srv__allowed")
    assert got.status == 200, got
    raw = hall.peer.forwarded[-1].raw
    assert f'"arguments":{arguments}'.encode() in raw
    assert b'"x-vendor":{"n":1.50}' in raw


IDS = (
    "1",
    "0",
    "-1",
    "9007199254740991",
    "-9007199254740991",
    '"a"',
    '"1"',
    '""',
    '"' + "x" * 256 + '"',
    '"\\u00e9"',
    '"\u00e9"',
    '"a\\"b"',
)


@pytest.mark.parametrize("id", IDS)
def test_an_id_comes_back_as_it_was_written(hall: Hall, session: Session, id: str) -> None:
    body = f'{{"jsonrpc":"2.0","id":{id},"method":"ping"}}'.encode()
    got = send(hall, session, body)
    assert got.body == f'{{"jsonrpc":"2.0","id":{id},"result":{{}}}}'.encode()


def test_depth_and_members_up_to_the_limit_are_served(hall: Hall, session: Session) -> None:
    assert send(hall, session, deep(62)).json()["result"] == {}
    members = (
        b'{"jsonrpc":"2.0","id":1,"method":"ping","params":{'
        + b",".join(b'"k%d":0' % n for n in range(1000))
        + b"}}"
    )
    assert send(hall, session, members).json()["result"] == {}
