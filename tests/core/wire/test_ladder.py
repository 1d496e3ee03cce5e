"""The ladder that modern requests climb, rung by rung; and telling the eras apart."""

# ruff: noqa: UP031  # braces are what these texts are made of
from __future__ import annotations

import base64
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from coatcheck.core.wire import ladder
from coatcheck.core.wire.ladder import Rejection, check_params, climb, is_modern
from coatcheck.core.wire.messages import CallerNotice, CallerReply, Message, raw_of, read_message
from coatcheck.model.call import Call, Caller, Fault, Result
from coatcheck.model.era import LEGACY_VERSIONS, Era

P = "io.modelcontextprotocol/"
MODERN = "2026-07-28"
META = {P + "protocolVersion": raw_of(MODERN), P + "clientCapabilities": b"{}"}
LEGACY_META: dict[str, bytes] = {"progressToken": b"1"}


def headers_of(
    version: str | None = MODERN, method: str | None = "tools/call", name: str | None = "echo"
) -> dict[str, tuple[str, ...]]:
    pairs = {"mcp-protocol-version": version, "mcp-method": method, "mcp-name": name}
    return {key: (value,) for key, value in pairs.items() if value is not None}


def a_call(
    method: str = "tools/call", params: dict[str, bytes] | None = None, meta: dict[str, bytes] | None = None
) -> Call:
    return Call(
        b"1", method, {"name": b'"echo"'} if params is None else params, META if meta is None else meta
    )


def b64(text: str) -> str:
    return f"=?base64?{base64.b64encode(text.encode()).decode()}?="


# --- which era ------------------------------------------------------------------------------------------

OPENING = Call(b"1", "initialize", {"protocolVersion": b'"2025-06-18"'})
MODERN_OPENING = Call(b"1", "initialize", {"protocolVersion": b'"2026-07-28"'}, META)
PLAIN = Call(b"1", "tools/list", {}, LEGACY_META)
STAMPED = Call(b"1", "tools/list", {}, META)
NOTICE = CallerNotice("notifications/cancelled", {"_meta": raw_of({P + "protocolVersion": MODERN})})
REPLY = CallerReply(b"1", Result(b"{}"))


@pytest.mark.parametrize(
    "version",
    [
        "2026-07-28",
        "2099-01-01",
        "2024-10-07",
        "",
        "x",
        "2025-06-18x",
        "2025-06-18, 2026-07-28",
        "=?base64?eA==?=",
    ],
)
@pytest.mark.parametrize("message", [OPENING, MODERN_OPENING, PLAIN, STAMPED, NOTICE, REPLY])
def test_a_version_header_that_no_legacy_revision_has_is_modern(version: str, message: Message) -> None:
    assert is_modern({"mcp-protocol-version": (version,)}, message)


@pytest.mark.parametrize("version", [None, *LEGACY_VERSIONS, " 2025-06-18 "])
@pytest.mark.parametrize(
    ("message", "modern"),
    [
        (OPENING, False),
        (MODERN_OPENING, False),
        (PLAIN, False),
        (STAMPED, True),
        (NOTICE, False),
        (REPLY, False),
    ],
)
def test_without_one_the_version_in_meta_decides_except_for_initialize(
    version: str | None, message: Message, modern: bool
) -> None:
    assert is_modern(headers_of(version, "initialize"), message) is modern


def test_a_stamped_request_without_a_matching_header_is_told_so() -> None:
    for version in (None, *LEGACY_VERSIONS):
        answer = climb(headers_of(version, "tools/list", None), STAMPED)
        assert isinstance(answer, Rejection)
        assert (answer.status, answer.fault.code) == (400, -32020)


# --- climbing -------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "call"),
    [
        (headers_of(), a_call()),
        (headers_of(" 2026-07-28\t", " tools/call ", "\techo "), a_call()),
        (headers_of(method="tools/list", name=None), a_call("tools/list", {})),
        (headers_of(method="tools/list", name="ignored"), a_call("tools/list", {})),
        (headers_of(name=b64("echo")), a_call()),
        (headers_of(name=b64(" é\n")), a_call(params={"name": '" é\\n"'.encode()})),
        (headers_of(method="resources/read", name="file:///a"), a_call("resources/read", {"uri": b'"file:///a"', "name": b'"x"'})),
        (headers_of(method="prompts/get"), a_call("prompts/get")),
        (headers_of(name=None), a_call(params={})),
        (headers_of(name="x"), a_call(params={"name": b"1"})),
        (headers_of(method="initialize", name=None), a_call("initialize", {})),
        (headers_of(method="no/such", name=None), a_call("no/such", {})),
        (headers_of(method=b64("tools/\u0441all"), name=None), a_call("tools/\u0441all", {})),
        (headers_of(method="tools/call", name=None), a_call("tools/call ", {})),
        (headers_of(method="", name=None), a_call(" ", {})),
        ({**headers_of(), "mcp-param-x": ("y", "z"), "mcp-session-id": ("a",)}, a_call()),
    ],
)  # fmt: skip
def test_requests_that_agree_with_themselves_reach_the_top(
    headers: dict[str, tuple[str, ...]], call: Call
) -> None:
    """What the method then is, and whether the name is a string, is judged further on, by the body alone."""
    assert climb(headers, call) == climb(None, call) == Caller(Era.MODERN, MODERN)


NO_META: tuple[dict[str, bytes], ...] = (
    {},
    {P + "clientCapabilities": b"{}"},
    {P + "protocolVersion": raw_of(MODERN)},
    {**META, P + "protocolVersion": b"null"},
    {**META, P + "protocolVersion": b"20260728"},
    {**META, P + "protocolVersion": b'["2026-07-28"]'},
    {**META, P + "clientCapabilities": b"null"},
    {**META, P + "clientCapabilities": b"[]"},
    {**META, P + "clientCapabilities": b'"{}"'},
    {P + "ProtocolVersion": raw_of(MODERN), P + "clientCapabilities": b"{}"},
)
MISMATCHED = (
    headers_of(version=None),
    headers_of(version="2025-11-25"),
    headers_of(version="2026-07-28x"),
    headers_of(version="2026-07-29"),
    headers_of(version=""),
    headers_of(method=None),
    headers_of(method="tools/list"),
    headers_of(method="Tools/Call"),
    headers_of(method="tools/call/"),
    headers_of(method=""),
    headers_of(method="=?base64?*?="),
    headers_of(name=None),
    headers_of(name=""),
    headers_of(name="denied"),
    headers_of(name="Echo"),
    headers_of(name="echo, denied"),
    headers_of(name=b64("denied")),
    headers_of(name="=?BASE64?ZWNobw==?="),
    headers_of(name="=?base64?ZWNobw?="),
    headers_of(name="=?base64?\xe9?="),
    headers_of(name=b64(b64("echo"))),
)


@pytest.mark.parametrize("meta", NO_META)
def test_the_first_rung_is_meta(meta: dict[str, bytes]) -> None:
    for headers in (headers_of(), headers_of(None, None, None), headers_of("2099-01-01"), None):
        answer = climb(headers, a_call(meta=meta))
        assert isinstance(answer, Rejection)
        assert (answer.status, answer.fault.code) == (400, -32602)


@pytest.mark.parametrize("headers", MISMATCHED)
def test_the_second_rung_is_headers(headers: dict[str, tuple[str, ...]]) -> None:
    answer = climb(headers, a_call())
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.fault.code) == (400, -32020)
    if headers.get("mcp-protocol-version") == (
        MODERN,
    ):  # a version that is not served either is not said so first
        odd = climb(
            {**headers, "mcp-protocol-version": ("2099-01-01",)},
            a_call(meta={**META, P + "protocolVersion": b'"2099-01-01"'}),
        )
        assert isinstance(odd, Rejection)
        assert odd.fault.code == -32020


@pytest.mark.parametrize(
    "version", ["2099-01-01", "2025-11-25", "2026-07-27", "2026-07", "", "x", *LEGACY_VERSIONS]
)
def test_the_third_rung_is_the_version(version: str) -> None:
    call = a_call(meta={**META, P + "protocolVersion": raw_of(version)})
    answer = climb(headers_of(version), call)
    assert isinstance(answer, Rejection)
    assert (answer.status, answer.fault.code) == (400, -32022)
    assert answer == climb(None, call)
    assert answer.fault.data is not None
    assert json.loads(answer.fault.data)["requested"] == version


@pytest.mark.parametrize(
    "version", ["2026-07-28\0", " 2026-07-28", "2026-07-28\n", "\uff12026-07-28", "2026-07-28\u200b"]
)
def test_a_version_that_no_header_can_carry_is_unsupported_and_no_mismatch(version: str) -> None:
    for header in (MODERN, b64(version)):
        answer = climb(headers_of(header), a_call(meta={**META, P + "protocolVersion": raw_of(version)}))
        assert isinstance(answer, Rejection)
        assert (answer.status, answer.fault.code) == (400, -32022)


@settings(max_examples=200, deadline=None)
@given(
    st.text(max_size=8),
    st.text(st.characters(max_codepoint=255), max_size=12),
)
def test_no_header_passes_for_another_name(name: str, header: str) -> None:
    answer = climb(headers_of(name=header), a_call(params={"name": raw_of(name)}))
    stripped = header.strip(" \t")
    same = stripped == name or stripped == b64(name)
    assert isinstance(answer, Caller) is (
        same and not (stripped == name and name.startswith("=?base64?") and name.endswith("?="))
    )


# --- what a client says of itself -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("info", "name", "version"),
    [
        (None, "", ""),
        (b"null", "", ""),
        (b"[]", "", ""),
        (b'{"name":1,"version":[]}', "", ""),
        (b'{"name":"claude-code","version":"2.1","title":"x"}', "claude-code", "2.1"),
        (b'{"name":"a\\u001b[31m\\n","version":"\\u202e1"}', "a\ufffd[31m\ufffd", "\ufffd1"),
        (raw_of({"name": "n" * 5_000, "version": "v" * 5_000}), "n" * 200, "v" * 200),
    ],
)
def test_what_a_client_says_of_itself_is_printable_and_short(
    info: bytes | None, name: str, version: str
) -> None:
    assert ladder.caller_of(Era.LEGACY, "2025-06-18", info) == Caller(Era.LEGACY, "2025-06-18", name, version)
    meta = META if info is None else {**META, P + "clientInfo": info}
    assert climb(headers_of(), a_call(meta=meta)) == Caller(Era.MODERN, MODERN, name, version)


# --- params -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("method", "params"),
    [
        ("tools/call", '{"name":"a"}'),
        ("tools/call", '{"name":"","arguments":{}}'),
        ("tools/call", '{"name":"a","arguments":{"a":null},"unknown":[1]}'),
        ("prompts/get", '{"name":"a","arguments":{}}'),
        ("resources/read", '{"uri":"a:b"}'),
        ("completion/complete", '{"ref":{},"argument":{}}'),
        ("tools/list", "{}"),
        ("tools/list", '{"cursor":"a"}'),
        ("ping", '{"name":1}'),
        ("no/such", '{"name":1}'),
    ],
)
def test_params_of_the_right_shape_pass(method: str, params: str) -> None:
    call = read_message(
        b'{"jsonrpc":"2.0","id":1,"method":%b,"params":%b}' % (raw_of(method), params.encode())
    )
    assert isinstance(call, Call)
    assert check_params(call) is None


NO_STRING = ("null", "1", "1E2", "true", "[]", '["a"]', "{}", '{"toString":"a"}')
NO_OBJECT = ("null", "1", "false", "[]", '"{}"', "[{}]")


@pytest.mark.parametrize(
    ("method", "params"),
    [
        *[(method, '{"name":%s}' % bad) for method in ("tools/call", "prompts/get") for bad in NO_STRING],
        *[
            (method, '{"name":"a","arguments":%s}' % bad)
            for method in ("tools/call", "prompts/get")
            for bad in NO_OBJECT
        ],
        *[("resources/read", '{"uri":%s}' % bad) for bad in NO_STRING],
        *[
            (f"{of}/list", '{"cursor":%s}' % bad)
            for of in ("tools", "prompts", "resources", "resources/templates")
            for bad in NO_STRING
        ],
        *[("completion/complete", '{"ref":%s,"argument":{}}' % bad) for bad in NO_OBJECT],
        *[("completion/complete", '{"ref":{},"argument":%s}' % bad) for bad in NO_OBJECT],
        ("tools/call", "{}"),
        ("tools/call", '{"arguments":{}}'),
        ("resources/read", '{"name":"a"}'),
        ("completion/complete", '{"ref":{}}'),
        ("completion/complete", '{"argument":{}}'),
    ],
)
def test_params_of_the_wrong_shape_are_named(method: str, params: str) -> None:
    call = read_message(
        b'{"jsonrpc":"2.0","id":1,"method":%b,"params":%b}' % (raw_of(method), params.encode())
    )
    assert isinstance(call, Call)
    fault = check_params(call)
    assert isinstance(fault, Fault)
    assert fault.code == -32602
    assert fault.message.startswith("params.")
