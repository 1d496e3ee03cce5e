"""The eras on the wire: stamping, greetings of hostile servers, headers, the shape of results."""

from __future__ import annotations

import base64
import json
import tracemalloc
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from coatcheck.core.wire import eras
from coatcheck.core.wire.messages import raw_of
from coatcheck.model.call import Call, Caller, Fault, Reply, Result
from coatcheck.model.catalogue import Greeting
from coatcheck.model.era import LEGACY_VERSIONS, MODERN_VERSIONS, SERVED_VERSIONS, Era

BRIEF = settings(max_examples=250, deadline=None)
P = "io.modelcontextprotocol/"
OWN = {"traceparent": b'"00-a-b-01"', "example.com/x": b"[ 1E2 ]", P + "related-task": b"{}"}
HOP = {
    P + "protocolVersion": b'"2026-07-28"',
    P + "clientCapabilities": b'{"sampling":{}}',
    P + "clientInfo": b'{"name":"spy"}',
    P + "logLevel": b'"debug"',
    P + "subscriptionId": b"7",
}
TEXTS = st.text(max_size=30)


# --- towards a server -----------------------------------------------------------------------------------


@pytest.mark.parametrize("progress", [None, b'"ours"'])
def test_a_legacy_server_gets_the_callers_own_meta_and_none_of_the_hops(progress: bytes | None) -> None:
    stamped = eras.stamp({**HOP, "progressToken": b'"theirs"', **OWN}, Era.LEGACY, "2025-11-25", progress)
    assert stamped == OWN | ({"progressToken": progress} if progress else {})


def test_a_modern_server_gets_our_version_no_capability_and_our_name() -> None:
    stamped = eras.stamp({**OWN, **HOP}, Era.MODERN, "2026-07-28", None)
    assert {name: stamped[name] for name in OWN} == OWN
    assert stamped.keys() - OWN.keys() == {P + "protocolVersion", P + "clientCapabilities", P + "clientInfo"}
    assert stamped[P + "protocolVersion"] == b'"2026-07-28"'
    assert stamped[P + "clientCapabilities"] == b"{}"
    assert json.loads(stamped[P + "clientInfo"])["name"] == "coatcheck"


def test_params_go_on_untouched_with_meta_stamped_anew() -> None:
    params = {"name": b'"a"', "arguments": b'{ "n":1E2 }', "unknown": b"[1]"}
    call = Call(b"1", "tools/call", params, {**HOP, "k": b"1"})
    assert eras.request_params(call, Era.LEGACY, "2025-11-25", None) == {**params, "_meta": b'{"k":1}'}
    bare = Call(b"1", "tools/call", params, HOP)
    assert eras.request_params(bare, Era.LEGACY, "2025-11-25", None) == params
    modern = eras.request_params(bare, Era.MODERN, "2026-07-28", b"7")
    assert json.loads(modern["_meta"])["progressToken"] == 7
    assert "_meta" not in call.params


def test_what_a_client_says_of_itself_is_not_kept_where_it_is_long() -> None:
    """Callers write it, so a memory of it would be a place to put a megabyte each."""
    call = Call(b"1", "tools/call", {}, {})
    tracemalloc.start()
    try:
        for number in range(8):
            long = b'{"experimental":{"%d":"%b"}}' % (number, b"x" * 1_000_000)
            caller = Caller(Era.MODERN, "2026-07-28", capabilities=long)
            sent = eras.request_params(call, Era.MODERN, "2026-07-28", None, caller)["_meta"]
            assert json.loads(sent)[P + "clientCapabilities"] == json.loads(long)
        del long, caller, sent
        assert tracemalloc.get_traced_memory()[0] < 1_000_000
    finally:
        tracemalloc.stop()


def test_our_own_openings() -> None:
    opening = eras.initialize_params()
    assert opening["protocolVersion"] == b'"2025-11-25"'
    assert opening["capabilities"] == b"{}"
    assert json.loads(opening["clientInfo"]).keys() >= {"name", "version"}
    meta = json.loads(eras.discover_params()["_meta"])
    assert meta[P + "protocolVersion"] == "2026-07-28"
    assert meta[P + "clientCapabilities"] == {}


# --- greetings ------------------------------------------------------------------------------------------

INITIALIZED = {
    "protocolVersion": "2025-06-18",
    "capabilities": {"tools": {"listChanged": True}, "vendor": {}},
    "serverInfo": {"name": "a", "version": "1", "icons": []},
    "instructions": "Say \u201cplease\u201d.",
    "_meta": {"x": 1},
    "extra": [1.0],
}
DISCOVERED = {
    "supportedVersions": ["2027-01-01", "2026-07-28", "2025-11-25"],
    "capabilities": {"tools": {}},
    "instructions": "Ask.",
    "ttlMs": 5,
    "cacheScope": "public",
    "resultType": "complete",
    "extra": {},
    "_meta": {P + "serverInfo": {"name": "b"}, "x": 1},
}


def test_initialize_is_read() -> None:
    greeting = eras.read_initialize(raw_of(INITIALIZED))
    assert greeting == Greeting(
        Era.LEGACY,
        "2025-06-18",
        {"tools": b'{"listChanged":true}', "vendor": b"{}"},
        b'{"name":"a","version":"1","icons":[]}',
        "Say \u201cplease\u201d.",
        {"_meta": b'{"x":1}', "extra": b"[1.0]"},
    )


def test_discover_is_read() -> None:
    greeting = eras.read_discover(raw_of(DISCOVERED))
    assert greeting == Greeting(
        Era.MODERN,
        "2026-07-28",
        {"tools": b"{}"},
        b'{"name":"b"}',
        "Ask.",
        {"extra": b"{}"},
        ("2027-01-01", "2026-07-28", "2025-11-25"),
    )


@pytest.mark.parametrize(
    "version", [None, 1, "", "2026-07-28", "2024-10-07", "1.0", "2025-06-18 ", ["2025-06-18"], {}]
)
def test_an_initialize_of_no_legacy_version_is_none(version: Any) -> None:
    assert eras.read_initialize(raw_of({**INITIALIZED, "protocolVersion": version})) is None
    assert (
        eras.read_initialize(raw_of({k: v for k, v in INITIALIZED.items() if k != "protocolVersion"})) is None
    )


@pytest.mark.parametrize(
    "versions", [None, [], {}, "2026-07-28", ["2025-11-25"], [None, 1, ["2026-07-28"]], ["2026-07-28 "]]
)
def test_a_discover_of_no_modern_version_is_none(versions: Any) -> None:
    assert eras.read_discover(raw_of({**DISCOVERED, "supportedVersions": versions})) is None


@pytest.mark.parametrize("raw", [b"", b"null", b"[]", b'"a"', b"1", b"{", b"\xff", b"[" * 100_000, b'{"a":}'])
def test_what_is_no_greeting_is_none(raw: bytes) -> None:
    assert eras.read_initialize(raw) is None
    assert eras.read_discover(raw) is None


@pytest.mark.parametrize("wrong", [None, 1, [], "x", True])
def test_members_of_wrong_types_are_as_if_absent(wrong: Any) -> None:
    greeting = eras.read_initialize(raw_of({**INITIALIZED, "capabilities": wrong, "serverInfo": wrong}))
    assert greeting is not None
    assert (greeting.capabilities, greeting.server_info) == ({}, b"{}")
    for meta in ({P + "serverInfo": wrong}, wrong):
        discovered = eras.read_discover(raw_of({**DISCOVERED, "capabilities": wrong, "_meta": meta}))
        assert discovered is not None
        assert (discovered.capabilities, discovered.server_info) == ({}, b"{}")
    if not isinstance(wrong, str):
        greeting = eras.read_initialize(raw_of({**INITIALIZED, "instructions": wrong}))
        assert greeting is not None
        assert greeting.instructions is None


def test_a_server_cannot_answer_the_opening_in_our_place() -> None:
    """What is relayed of a greeting goes into our own answer, whose version and name are ours to give."""
    ours = {
        "protocolVersion",
        "supportedVersions",
        "serverInfo",
        "capabilities",
        "instructions",
        "resultType",
        "ttlMs",
        "cacheScope",
    }
    forged = dict.fromkeys(ours, "forged") | {"capabilities": {}, "kept": 1}
    legacy = eras.read_initialize(raw_of({**forged, "protocolVersion": "2025-06-18"}))
    modern = eras.read_discover(raw_of({**forged, "supportedVersions": ["2026-07-28"]}))
    assert legacy is not None
    assert modern is not None
    assert legacy.extra == modern.extra == {"kept": b"1"}


@pytest.mark.parametrize(
    ("fault", "named"),
    [
        (Fault(-32022, "", raw_of({"supported": ["2026-07-28", 1, "2027-01-01"], "requested": "x"})), ("2026-07-28", "2027-01-01")),
        (Fault(-32022, "", raw_of({"supported": []})), ()),
        (Fault(-32022, "", raw_of({"supported": "2026-07-28"})), ()),
        (Fault(-32022, "", raw_of(["2026-07-28"])), ()),
        (Fault(-32022, "", b"null"), ()),
        (Fault(-32022, ""), ()),
        (Fault(-32602, "", raw_of({"supported": ["2026-07-28"]})), ()),
    ],
)  # fmt: skip
def test_the_versions_that_an_error_names(fault: Fault, named: tuple[str, ...]) -> None:
    assert eras.versions_supported(fault) == named


def test_an_unsupported_version_is_answered_with_those_we_serve() -> None:
    fault = eras.unsupported("2099-01-01")
    assert fault.code == -32022
    assert fault.data is not None
    assert json.loads(fault.data) == {"supported": list(SERVED_VERSIONS), "requested": "2099-01-01"}
    assert SERVED_VERSIONS == MODERN_VERSIONS + LEGACY_VERSIONS


# --- headers ----------------------------------------------------------------------------------------------


@BRIEF
@given(TEXTS)
@example("")
@example(" a")
@example("a\t")
@example("=?base64?ZWNobw==?=")
@example("=?base64?\n?=")
@example("\ue000\U0001f600\x00\r\n")
def test_any_text_survives_a_header(text: str) -> None:
    encoded = eras.encode_header(text)
    assert all(" " <= char <= "~" for char in encoded)
    assert encoded == encoded.strip()
    assert eras.decode_header(encoded) == text


@pytest.mark.parametrize(
    "plain",
    [
        "",
        "echo",
        "a b",
        "a=?b?=",
        "=?base64?",
        "?=",
        "=?BASE64?ZWNobw==?=",
        "=?utf-8?b?YQ==?=",
        "=?base64?YQ==?= ",
    ],
)
def test_plain_values_stand_for_themselves(plain: str) -> None:
    assert eras.decode_header(plain) == plain


@pytest.mark.parametrize(
    "value",
    [
        "=?base64?ZWNobw?=", "=?base64?ZWNobw=?=", "=?base64?ZWNobx==?=", "=?base64?ZW NobW?=", "=?base64?ZWNobw==\n?=", "=?base64?*?=", "=?base64?=?=",
        "=?base64?/w==?=", "=?base64?7aCA?=", "=?base64?wK8=?=", "=?base64?\xe9?=", "=?base64?ZWNobw==\xff?=", "=?base64?-_8=?=", "=?base64?ZWNobw==ZWNobw==?=",
    ],
)  # fmt: skip
def test_every_other_spelling_in_base64_is_none(value: str) -> None:
    assert eras.decode_header("=?base64?ZWNobw==?=") == "echo"
    assert eras.decode_header(value) is None


@BRIEF
@given(
    st.text(st.characters(max_codepoint=255), max_size=12),
    st.text(st.characters(max_codepoint=255), max_size=3),
)
def test_no_header_raises_and_no_two_encodings_are_one_text(middle: str, rest: str) -> None:
    value = f"=?base64?{middle}?={rest}"
    found = eras.decode_header(value)
    if found is not None and found != value:
        assert f"=?base64?{middle}?=" == value
        assert base64.b64encode(found.encode()).decode() == middle


@pytest.mark.parametrize(
    ("method", "params", "name"),
    [
        ("tools/call", {"name": b'"echo"'}, "echo"),
        ("prompts/get", {"name": '"é"'.encode()}, "=?base64?w6k=?="),
        ("resources/read", {"uri": b'"file:///a b"', "name": b'"x"'}, "file:///a b"),
        ("tools/call", {"name": b'" a"'}, "=?base64?IGE=?="),
        ("tools/list", {"name": b'"x"'}, None),
        ("tools/call", {}, None),
    ],
)
def test_headers_towards_a_modern_server_are_made_from_the_body(
    method: str, params: dict[str, bytes], name: str | None
) -> None:
    expected = [("MCP-Protocol-Version", "2026-07-28"), ("Mcp-Method", method)]
    assert eras.modern_headers(method, params, "2026-07-28") == expected + (
        [("Mcp-Name", name)] if name else []
    )


# --- results ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "era", "reply", "expected"),
    [
        ("tools/call", Era.MODERN, Result(b'{"a": 1E2}'), Result(b'{"a": 1E2,"resultType":"complete"}')),
        ("tools/call", Era.MODERN, Result(b'{"resultType":"input_required"}'), Result(b'{"resultType":"input_required"}')),
        ("tools/list", Era.MODERN, Result(b'{"tools":[]}'), Result(b'{"tools":[],"resultType":"complete","ttlMs":0,"cacheScope":"private"}')),
        (
            "resources/read",
            Era.MODERN,
            Result(b'{"cacheScope":"public","ttlMs":9,"contents":[]}'),
            Result(b'{"cacheScope":"private","ttlMs":9,"contents":[],"resultType":"complete"}'),
        ),
        ("server/discover", Era.MODERN, Result(b"{}"), Result(b'{"resultType":"complete","ttlMs":0,"cacheScope":"private"}')),
        ("tools/call", Era.MODERN, Result(b"{}"), Result(b'{"resultType":"complete"}')),
        ("tools/call", Era.MODERN, Result(b'{ "a":1}'), Result(b'{"a":1,"resultType":"complete"}')),
        ("tools/call", Era.MODERN, Result(b'{"a":1} '), Result(b'{"a":1,"resultType":"complete"}')),
        ("tools/call", Era.MODERN, Result(rb'{"result\u0054ype":"x"}'), Result(rb'{"result\u0054ype":"x"}')),
        ("tools/call", Era.LEGACY, Result(b'{ "a": 1E2, "a": 2 }'), Result(b'{ "a": 1E2, "a": 2 }')),
        ("tools/list", Era.LEGACY, Result(b'{"tools":[],"ttlMs":1,"cacheScope":"public","resultType":"complete","x":1}'), Result(b'{"tools":[],"x":1}')),
        ("resources/read", Era.MODERN, Fault(-32002, "a", b"{}"), Fault(-32602, "a", b"{}")),
        ("resources/read", Era.LEGACY, Fault(-32002, "a", b"{}"), Fault(-32002, "a", b"{}")),
        ("tools/call", Era.MODERN, Fault(-32603, "a"), Fault(-32603, "a")),
        ("tools/call", Era.LEGACY, Fault(-32602, "a"), Fault(-32602, "a")),
    ],
)  # fmt: skip
def test_a_reply_has_the_shape_of_the_clients_era(
    method: str, era: Era, reply: Reply, expected: Reply
) -> None:
    assert eras.reply_for(reply, method, era) == expected


@pytest.mark.parametrize("method", sorted(eras.LISTS | {"server/discover", "resources/read"}))
def test_nothing_that_is_cached_is_ever_public(method: str) -> None:
    for scope in (b'"public"', b'"private"', b"1"):
        reply = eras.reply_for(Result(b'{"cacheScope":%b}' % scope), method, Era.MODERN)
        assert isinstance(reply, Result)
        assert json.loads(reply.raw)["cacheScope"] == "private"
